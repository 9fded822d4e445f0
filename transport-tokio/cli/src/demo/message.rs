//! What the demonstration says; see [`crate::message`].

use std::fmt;
use std::io;

use phantom_core::id::PeerId;

use crate::message::messages;

messages! {
    /// Something that one of the two says or sees.
    Said {
    Relay => "Relay", "Узел";
    Ann => "Ann", "Аня";
    Bob => "Bob", "Боб";
    HasId { id: PeerId } =>
        "has the ID {id}",
        "получает ID {id}";
    SeesAndAccepts { guest: PeerId } =>
        "sees that {guest} asks, and accepts",
        "видит запрос от {guest} и принимает";
    Asks { host: PeerId } =>
        "asks {host} to connect",
        "просит {host} о соединении";
    Secured =>
        "secured: the other side has the same key",
        "канал защищён: у другой стороны тот же ключ";
    Received { text: &'a str } =>
        "received: {text}",
        "получает: {text}";
    Differ =>
        "the keys differ; nothing is handed over",
        "ключи не совпадают; ничего не передано";
    Sends { name: &'a str, size: &'a str } =>
        "sends {name}, {size}",
        "отправляет {name}, {size}";
    HasIt { figures: &'a dyn fmt::Display } =>
        "has it: {figures}",
        "принимает: {figures}";

    // What goes wrong.
    DifferAsShown =>
        "the keys differ, as was to be shown; both sides need the same key",
        "ключи не совпадают, что и требовалось показать; обеим сторонам нужен один ключ";
    NoGreeting =>
        "the other side left without a greeting",
        "другая сторона ушла, не поздоровавшись";
    SecuredWithTwo =>
        "the channel is secured with two keys; please report this",
        "канал защищён двумя разными ключами; пожалуйста, сообщите об этом";
    Leaked =>
        "a packet came through without the right key; please report this",
        "пакет прошёл без верного ключа; пожалуйста, сообщите об этом";
    SumsDiffer =>
        "the two sums differ; please report this",
        "суммы не совпали; пожалуйста, сообщите об этом";
    NoFolder { error: &'a io::Error } =>
        "no temporary folder can be made: {error}",
        "временную папку не создать: {error}";
    NotFound { error: &'a io::Error } =>
        "this program cannot find itself ({error}); name a file",
        "программа не находит сама себя ({error}); назовите файл";
    }
}
