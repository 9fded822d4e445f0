//! The program `phantom`: two people meet, talk and pass files through a relay that cannot read them.
//!
//! Each command is a module; what several of them share is in `meet` (finding the other side) and `transfer` (one file over one
//! channel). A command returns a [`Fault`], which is one sentence and an exit status; nothing else ends the program.
#![forbid(unsafe_code)]

mod address;
mod arguments;
mod bench;
mod chat;
mod config;
mod connect;
mod demo;
mod doctor;
mod editor;
mod embedded;
mod endpoint;
mod event;
mod explain;
mod fault;
mod forward;
mod input;
mod interrupt;
mod invitation;
mod language;
mod manual;
mod meet;
mod message;
mod pipe;
mod progress;
mod prompt;
mod receive;
mod relay;
mod send;
mod share;
mod transfer;
mod ui;
mod words;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use arguments::{Arguments, Command};
use event::Event;
use fault::{Fault, Status};
use interrupt::Interrupt;
use message::Message;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ui::speak(&arguments.output);
    let result = match runtime(&arguments.command) {
        Ok(runtime) => {
            let result = runtime.block_on(run(&arguments.command));
            // A thread that waits for a key to be pressed or a disk to answer is nothing to wait for.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Fault::new(Status::Other, Message::NoThreads { error: &error })),
    };
    match result {
        Ok(()) => {
            ui::event(&Event::End);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            ui::fail(&fault);
            fault.exit_code()
        }
    }
}

/// One client is one thread's work; a second thread would only be woken for every packet. Files have threads of their own.
fn runtime(command: &Command) -> io::Result<Runtime> {
    let mut builder = match command {
        Command::Demo(_) | Command::Bench(_) => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

async fn run(command: &Command) -> Result<(), Fault> {
    let mut interrupt = Interrupt::listen()
        .map_err(|error| Fault::new(Status::Other, Message::NoSignals { error: &error }))?;
    match command {
        Command::Demo(arguments) => demo::run(arguments, &mut interrupt).await,
        Command::Chat(arguments) => chat::run(arguments, &mut interrupt).await,
        Command::Pipe(arguments) => pipe::run(arguments, &mut interrupt).await,
        Command::Forward(arguments) => forward::run(arguments, &mut interrupt).await,
        Command::Send(arguments) => send::run(arguments, &mut interrupt).await,
        Command::Receive(arguments) => receive::run(arguments, &mut interrupt).await,
        Command::Doctor(arguments) => doctor::run(arguments, &mut interrupt).await,
        Command::Bench(arguments) => bench::run(arguments, &mut interrupt).await,
        Command::Completions(arguments) => manual::completions(arguments),
        Command::Man(arguments) => manual::pages(arguments),
        Command::Relay(arguments) => relay::run(arguments, &mut interrupt).await,
    }
}
