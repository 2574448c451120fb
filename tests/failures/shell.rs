//! POSIX sh, as far as hostler's scripts use it, as a tree.

/// Commands one after the other.
pub type List = Vec<AndOr>;

/// `a && b || c`.
#[derive(Debug, Clone)]
pub struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Operator, Pipeline)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    And,
    Or,
}

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
    pub line: usize,
}

#[derive(Debug, Clone)]
pub enum Command {
    Simple(Vec<String>),
    /// `{ }`
    Group(List),
    /// `( )`, whose own status counts.
    Subshell(List),
    If {
        conditions: Vec<List>,
        bodies: Vec<List>,
    },
    Loop {
        condition: List,
        body: List,
    },
    Case(Vec<List>),
    Function(String, Box<Command>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;`, a line break, `&`, `&&`, `||`, `|`, `(`, `)`, `;;`.
    Operator(&'static str),
}

const OPERATORS: [&str; 9] = ["&&", "||", ";;", ";", "&", "|", "(", ")", "\n"];

/// Tokens with their lines.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    let mut documents: Vec<String> = Vec::new();
    while let Some(next) = rest.chars().next() {
        if next == '\n' && !documents.is_empty() {
            tokens.push((Token::Operator("\n"), line));
            (rest, line) = (&rest[1..], line + 1);
            for end in std::mem::take(&mut documents) {
                while let Some((first, after)) = rest.split_once('\n') {
                    (rest, line) = (after, line + 1);
                    if first == end {
                        break;
                    }
                }
            }
            continue;
        }
        if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            tokens.push((Token::Operator(operator), line));
            line += usize::from(*operator == "\n");
            rest = &rest[operator.len()..];
        } else if rest.starts_with("\\\n") {
            (rest, line) = (&rest[2..], line + 1);
        } else if next.is_whitespace() {
            rest = &rest[next.len_utf8()..];
        } else if next == '#' {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else {
            let length = word(rest);
            let word = &rest[..length];
            if let Some(end) = word.strip_prefix("<<") {
                // `<< END` has a blank in between.
                let (end, skipped) = match end {
                    "" => (rest[length..].split_whitespace().next().unwrap_or_default(), rest[length..].find('\n').unwrap_or(0)),
                    end => (end, 0),
                };
                documents.push(end.trim_matches(['\'', '"']).to_owned());
                rest = &rest[length + skipped..];
                continue;
            }
            tokens.push((Token::Word(word.to_owned()), line));
            line += word.matches('\n').count();
            rest = &rest[length..];
        }
    }
    tokens
}

/// The length of the word that `text` begins with, with its quotes and substitutions.
fn word(text: &str) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match next {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            '$' if rest.starts_with("$(") => 1 + parenthesis(&rest[1..]),
            '$' if rest.starts_with("${") => rest.find('}').map_or(rest.len(), |end| end + 1),
            // `2>&1`, `>|`: of a redirection.
            '>' | '<' if rest[1..].starts_with(['&', '|']) => 2,
            c if c.is_whitespace() || ";&|()".contains(c) => break,
            c => c.len_utf8(),
        };
    }
    at
}

/// The length of `"..."`.
fn quoted(text: &str) -> usize {
    let mut at = 1;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        match next {
            '"' => return at + 1,
            '\\' => at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '$' if rest.starts_with("$(") => at += 1 + parenthesis(&rest[1..]),
            c => at += c.len_utf8(),
        }
    }
    text.len()
}

/// The length of `(...)`.
fn parenthesis(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match next {
            '(' => {
                depth += 1;
                1
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
                1
            }
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            c => c.len_utf8(),
        };
    }
    text.len()
}

/// The commands in `$(...)` of a word; not the numbers in `$((...))`.
pub fn substitutions(word: &str) -> Vec<List> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = word[at..].chars().next() {
        let rest = &word[at..];
        at += match next {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' if !word.starts_with('"') => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '$' if rest.starts_with("$(") => {
                let length = parenthesis(&rest[1..]);
                if !rest.starts_with("$((") {
                    found.push(parse(&rest[2..length]));
                }
                1 + length
            }
            c => c.len_utf8(),
        };
    }
    found
}

pub fn parse(text: &str) -> List {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let list = parser.list(&[]);
    assert_eq!(parser.at, tokens.len(), "{:?} is not understood in\n{text}", tokens.get(parser.at));
    list
}

struct Parser<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
}

impl Parser<'_> {
    fn operator(&self) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some((Token::Operator(operator), _)) => Some(operator),
            _ => None,
        }
    }

    fn peek(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    /// Goes past this word or operator.
    fn expect(&mut self, what: &str) {
        assert!(
            self.peek() == Some(what) || self.operator() == Some(what),
            "line {}: no {what}: {:?}",
            self.line(),
            self.tokens.get(self.at)
        );
        self.at += 1;
    }

    fn skip(&mut self, operators: &[&str]) {
        while self.operator().is_some_and(|operator| operators.contains(&operator)) {
            self.at += 1;
        }
    }

    /// Up to one of these words, or to an operator that ends a list.
    fn list(&mut self, ends: &[&str]) -> List {
        let mut list = List::new();
        loop {
            self.skip(&["\n", ";", "&"]);
            let ended = match (self.operator(), self.peek()) {
                (Some(operator), _) => operator != "(",
                (_, Some(word)) => ends.contains(&word),
                _ => true,
            };
            if ended {
                return list;
            }
            list.push(self.and_or());
        }
    }

    fn and_or(&mut self) -> AndOr {
        let first = self.pipeline();
        let mut rest = Vec::new();
        loop {
            let operator = match self.operator() {
                Some("&&") => Operator::And,
                Some("||") => Operator::Or,
                _ => return AndOr { first, rest },
            };
            self.at += 1;
            self.skip(&["\n"]);
            rest.push((operator, self.pipeline()));
        }
    }

    fn pipeline(&mut self) -> Pipeline {
        let line = self.line();
        let negated = self.peek() == Some("!");
        self.at += usize::from(negated);
        let mut commands = vec![self.command()];
        while self.operator() == Some("|") {
            self.at += 1;
            self.skip(&["\n"]);
            commands.push(self.command());
        }
        Pipeline { negated, commands, line }
    }

    fn command(&mut self) -> Command {
        let command = match self.peek() {
            Some("{") => {
                self.at += 1;
                let list = self.list(&["}"]);
                self.expect("}");
                Command::Group(list)
            }
            Some("if") => self.condition(),
            Some("while" | "until") => {
                self.at += 1;
                let condition = self.list(&["do"]);
                Command::Loop { condition, body: self.body() }
            }
            Some("for") => {
                while self.peek() != Some("do") {
                    self.at += 1;
                }
                Command::Loop { condition: List::new(), body: self.body() }
            }
            Some("case") => self.cases(),
            Some(name) if self.is_function() => {
                let name = name.to_owned();
                self.at += 3;
                self.skip(&["\n"]);
                Command::Function(name, Box::new(self.command()))
            }
            None if self.operator() == Some("(") => {
                self.at += 1;
                let list = self.list(&[]);
                self.expect(")");
                Command::Subshell(list)
            }
            _ => return self.simple(),
        };
        // Redirections of the whole.
        while self.peek().is_some_and(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>'])) {
            let alone = self.peek().is_some_and(|word| word.ends_with(['<', '>']));
            self.at += 1 + usize::from(alone);
        }
        command
    }

    fn is_function(&self) -> bool {
        let operator = |at: usize| matches!(self.tokens.get(at), Some((Token::Operator(operator), _)) if ["(", ")"].contains(operator));
        operator(self.at + 1) && operator(self.at + 2)
    }

    fn body(&mut self) -> List {
        self.expect("do");
        let body = self.list(&["done"]);
        self.expect("done");
        body
    }

    fn condition(&mut self) -> Command {
        let (mut conditions, mut bodies) = (Vec::new(), Vec::new());
        loop {
            let word = self.peek().unwrap_or_default().to_owned();
            self.at += 1;
            match word.as_str() {
                "if" | "elif" => {
                    conditions.push(self.list(&["then"]));
                    self.expect("then");
                    bodies.push(self.list(&["elif", "else", "fi"]));
                }
                "else" => bodies.push(self.list(&["fi"])),
                _ => return Command::If { conditions, bodies },
            }
        }
    }

    fn cases(&mut self) -> Command {
        while self.peek() != Some("in") {
            self.at += 1;
        }
        self.at += 1;
        let mut bodies = Vec::new();
        loop {
            self.skip(&["\n", ";;"]);
            if self.peek() == Some("esac") {
                self.at += 1;
                return Command::Case(bodies);
            }
            while self.operator() != Some(")") {
                self.at += 1;
            }
            self.at += 1;
            bodies.push(self.list(&["esac"]));
        }
    }

    fn simple(&mut self) -> Command {
        let mut words = Vec::new();
        while let Some(word) = self.peek() {
            words.push(word.to_owned());
            self.at += 1;
        }
        assert!(!words.is_empty(), "line {}: a command is missing: {:?}", self.line(), self.tokens.get(self.at));
        Command::Simple(words)
    }
}
