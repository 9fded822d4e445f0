//! `phantom receive`: goes where an invitation leads and takes the file.

use crate::arguments::ReceiveArguments;
use crate::fault::Fault;
use crate::interrupt::Interrupt;
use crate::meet::{self, Place};
use crate::progress::Progress;
use crate::prompt;
use crate::transfer::{self, Target};
use crate::ui;

pub(crate) async fn run(arguments: &ReceiveArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let invitation = prompt::read_invitation(arguments.invitation.as_deref(), interrupt).await?;
    let target = Target::new(arguments.output.as_deref(), arguments.force)?;
    Place::of_guest(&invitation)
        .visit(interrupt, async |client| {
            let channel = meet::go_to_host(client, invitation.id).await?;
            let begin = |path: &std::path::Path, size| {
                ui::note(format_args!("Receiving {}, {}.", path.display(), ui::size(size)));
                Progress::new(size)
            };
            let file = transfer::receive(channel, &target, begin).await?;
            ui::say(format_args!("Received {}: {}", file.path.display(), file.figures));
            ui::say(format_args!("BLAKE3 {}", ui::hex(&file.hash)));
            Ok(())
        })
        .await
}
