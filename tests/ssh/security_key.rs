//! A key that lives in hardware, as the agent shows it. sshd checks what a security key signs without one being there, so the hardware
//! here is an agent of this test that signs as it would (PROTOCOL.u2f of OpenSSH).

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostler::ssh::Target;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

use crate::sshd::*;

const KIND: &[u8] = b"sk-ssh-ed25519@openssh.com";
const APPLICATION: &[u8] = b"ssh:";
/// Somebody touched it.
const PRESENT: u8 = 1;

// draft-miller-ssh-agent
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// The string at the beginning of `bytes`, and what follows it.
fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = bytes.split_first_chunk().unwrap();
    rest.split_at(u32::from_be_bytes(*len) as usize)
}

fn public_blob(pair: &Ed25519KeyPair) -> Vec<u8> {
    [string(KIND), string(pair.public_key().as_ref()), string(APPLICATION)].concat()
}

fn signature(pair: &Ed25519KeyPair, text: &[u8]) -> Vec<u8> {
    let counter = 7_u32.to_be_bytes();
    let signed = [Sha256::digest(APPLICATION).to_vec(), vec![PRESENT], counter.to_vec(), Sha256::digest(text).to_vec()].concat();
    [string(KIND), string(pair.sign(&signed).as_ref()), vec![PRESENT], counter.to_vec()].concat()
}

fn serve(mut client: UnixStream, pair: &Ed25519KeyPair) {
    loop {
        let mut len = [0; 4];
        if client.read_exact(&mut len).is_err() {
            return;
        }
        let mut request = vec![0; u32::from_be_bytes(len) as usize];
        client.read_exact(&mut request).unwrap();
        let answer = match request[0] {
            REQUEST_IDENTITIES => {
                [vec![IDENTITIES_ANSWER], 1_u32.to_be_bytes().to_vec(), string(&public_blob(pair)), string(b"in a pocket")].concat()
            }
            SIGN_REQUEST => {
                let (key, rest) = split_string(&request[1..]);
                assert_eq!(key, public_blob(pair));
                [vec![SIGN_RESPONSE], string(&signature(pair, split_string(rest).0))].concat()
            }
            _ => vec![FAILURE],
        };
        client.write_all(&string(&answer)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_hardware_opens_through_the_agent() {
    let sshd = Sshd::start();
    let socket = sshd.path("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let line = format!("{} {}\n", str::from_utf8(KIND).unwrap(), BASE64_STANDARD.encode(public_blob(&pair)));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            serve(client.unwrap(), &pair);
        }
    });
    let target = Target { identities: Vec::new(), identities_chosen: false, agent: Some(socket), ..sshd.target() };
    refused(&target, &strict()).await;
    std::fs::write(sshd.path("authorized_keys"), &line).unwrap();
    connect(&target, &strict()).await;
    // Named by its public half alone, and nothing else is offered.
    std::fs::write(sshd.path("id_sk.pub"), line).unwrap();
    let named = Target { identities: vec![sshd.path("id_sk.pub")], identities_chosen: true, identities_only: true, ..target };
    connect(&named, &strict()).await;
}
