//! Two clients meet through a relay over byte pipes of this program's own, each frame behind its length.
use bytes::{Buf, BufMut, BytesMut};
use phantom_core::client::{Client, ClientConfig, Event as E, Input, Output};
use phantom_core::relay::{Handled, Input as Came, Output as Do, Relay, RelayConfig, RelaySecret};
use phantom_core::{crypto::EncryptionKey, relay::Source::Unknown, time::Instant};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let put = |pipe: &mut BytesMut, frame: &[u8]| pipe.put((frame.len() as u32).to_be_bytes().chain(frame));
    let take = |pipe: &mut BytesMut| pipe.try_get_u32().ok().map(|len| pipe.split_to(len as usize));
    let (mut up, mut down) = (<[BytesMut; 2]>::default(), <[BytesMut; 2]>::default());
    let (clock, key) = (std::time::Instant::now(), Some(EncryptionKey::parse("ABCDE12345")?));
    let now = || Instant::from_micros(clock.elapsed().as_micros() as u64);
    let mut relay = Relay::new(RelayConfig::new(RelaySecret::new(0, rand::random()), 0), rand::random());
    let new = || Client::new(ClientConfig { key: key.clone(), ..ClientConfig::default() }, rand::random());
    let (mut clients, conns) = ([new(), new()], [relay.open(now(), Unknown)?, relay.open(now(), Unknown)?]);
    for i in [0, 1].into_iter().cycle() {
        clients[i].handle(now(), Input::Timeout);
        while let Some(output) = clients[i].poll_output() {
            println!("client {i}: {output:?}");
            match output {
                Output::Dial { .. } => clients[i].handle(now(), Input::Connected),
                Output::Transmit(frame) => put(&mut up[i], &frame),
                Output::Event(E::Online { id, .. }) if i == 1 => clients[0].connect(now(), id).map(drop)?,
                Output::Event(E::Incoming { request, .. }) => clients[i].accept(now(), request)?,
                Output::Event(E::Secured { channel }) => clients[i].send(now(), channel, "Hi").map(drop)?,
                Output::Event(E::Delivered { .. }) => return Ok(()),
                _ => {}
            }
        }
        if let Some(mut f) = take(&mut up[i])
            && let Handled::Forward(to) = relay.handle(now(), Came::Frame { from: conns[i], frame: &mut f })
        {
            put(&mut down[to.index()], &f);
        }
        while let Some(Do::Transmit { to, frame, .. }) = relay.poll_output() {
            put(&mut down[to.index()], &frame);
        }
        take(&mut down[i]).into_iter().for_each(|frame| clients[i].handle(now(), Input::Received(frame)));
    }
    Ok(())
}
