//! `phantom send`: invites somebody and gives them a file.

use crate::arguments::SendArguments;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::meet::Place;
use crate::progress::Progress;
use crate::transfer::{self, Source};
use crate::ui;

pub(crate) async fn run(arguments: &SendArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let source = Source::open(&arguments.file)?;
    let place = Place::of_host(&arguments.invite)?;
    place
        .visit(interrupt, async |client| {
            ui::note(format_args!("Sending {}, {}.", arguments.file.display(), ui::size(source.size())));
            let channel = place.wait_for_guest(client, "receive").await?;
            let (hash, figures) = transfer::send(channel, source, Progress::new).await?;
            ui::say(format_args!("Delivered: {figures}"));
            ui::say(format_args!("BLAKE3 {}", ui::hex(&hash)));
            Ok(())
        })
        .await
}
