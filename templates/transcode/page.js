// The part that changes is sent whole; what had the focus has it afterwards.
const main = document.getElementById("main");
const source = new EventSource("/events");
source.onmessage = (message) => {
  const focused = main.contains(document.activeElement) && document.activeElement.id;
  main.innerHTML = message.data;
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
};

// The link's fragment has the token, and no request carries a fragment. From then on this browser keeps it, and the address does not show it.
if (document.body.dataset.actions === "token") {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    localStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  const answer = document.getElementById("answer");
  document.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = {"x-hostler-token": localStorage.getItem("token") ?? ""};
    const response = await fetch(event.target.action, {method: "POST", headers, redirect: "manual"}).catch(() => null);
    const done = response?.ok || response?.type === "opaqueredirect";
    answer.textContent = done ? "" : await response?.text() || "the page does not answer";
    answer.hidden = done;
  });
}
