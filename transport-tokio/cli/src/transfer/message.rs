//! Every sentence about files that are sent and received, in every language; see [`crate::message`].

use std::fmt;
use std::io;

use crate::message::messages;

messages! {
    /// Something to be said about files.
    Sentence {
    // What there is.
    Sending { what: &'a str } =>
        "Sending {what}.",
        "Отправляем: {what}.";
    Receiving { what: &'a str } =>
        "Receiving {what}.",
        "Принимаем: {what}.";
    AText { size: &'a str } =>
        "a text, {size}",
        "текст, {size}";
    AStream { name: &'a str } =>
        "standard input as {name}",
        "стандартный ввод под именем {name}";
    AndMore { name: &'a str, more: usize } =>
        "{name} and {more} more",
        "{name} и ещё {more}";
    UnknownLength =>
        "of unknown length",
        "неизвестной длины";
    TheText =>
        "the text",
        "текст";
    StandardInput =>
        "standard input",
        "стандартный ввод";

    // How far it is, and what came of it.
    Moving { done: &'a str, total: &'a str, rate: &'a str, left: &'a str } =>
        "{done} of {total}, {rate}, {left} left",
        "{done} из {total}, {rate}, осталось {left}";
    Hours { hours: u64 } =>
        "{hours} h",
        "{hours} ч";
    DiskThere =>
        "Waiting for the disk of the other side",
        "Ждём диск другой стороны";
    DiskHere =>
        "Waiting for the disk",
        "Ждём диск";
    Delivered { figures: &'a dyn fmt::Display } =>
        "Delivered: {figures}",
        "Доставлено: {figures}";
    Received { figures: &'a dyn fmt::Display } =>
        "Received: {figures}",
        "Принято: {figures}";
    ReceivedAs { name: &'a str, figures: &'a dyn fmt::Display } =>
        "Received {name}: {figures}",
        "Принято {name}: {figures}";
    Kept { size: &'a str } =>
        "{size} were there already",
        "{size} уже было";
    SentAnew { name: &'a str } =>
        "{name} is not the same any more; it is sent anew.",
        "{name} теперь другой; отправляем заново.";
    ReceivedAnew { name: &'a str } =>
        "{name} is not the same any more; it is received anew.",
        "{name} теперь другой; принимаем заново.";
    Comparing =>
        "Comparing what is there from an earlier time.",
        "Сверяем то, что осталось с прошлого раза.";
    KeptIn { folder: &'a dyn fmt::Display } =>
        "What has arrived is kept in {folder}. Send and receive the same again to go on from there, or remove it.",
        "Принятое лежит в {folder}. Отправьте и примите то же ещё раз, чтобы продолжить, или удалите эту папку.";
    NotRemoved { folder: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{folder} could not be removed: {error}",
        "не удалось удалить {folder}: {error}";

    // Questions.
    TakeIt =>
        "Take it? [Y/n] ",
        "Принять? [Д/н] ";
    Replace { path: &'a str } =>
        "{path} exists already. Replace it? [y/N] ",
        "{path} уже есть. Заменить? [д/Н] ";
    Declined =>
        "declined; nothing was received",
        "отказано; ничего не принято";

    // What cannot be sent.
    OneName =>
        "--name is for one file or folder; more than one keep their names",
        "--name — для одного файла или папки; несколько остаются под своими именами";
    BadName =>
        "--name is a file name without folders, of at most 255 bytes, that does not begin with a dot",
        "--name — имя файла без папок, не длиннее 255 байт и не с точки";
    InputAlone =>
        "standard input is sent alone; a file of the name - is written as ./-",
        "стандартный ввод отправляется отдельно; файл с именем - пишется как ./-";
    SameName { name: &'a str } =>
        "two of these have the name {name}; send one of them alone, with --name",
        "у двух из них имя {name}; отправьте один отдельно, с --name";
    NoName { path: &'a dyn fmt::Display } =>
        "{path} has no name; give it one with --name",
        "у {path} нет имени; дайте его параметром --name";
    TextLength =>
        "a text has 1 to 1048576 bytes; send a longer one as a file",
        "в тексте от 1 до 1048576 байт; длиннее отправляйте файлом";
    TooManyFiles =>
        "these are too many files to send at once",
        "столько файлов за раз не отправить";
    NoFile { path: &'a dyn fmt::Display } =>
        "there is no file {path}; check the name",
        "файла {path} нет; проверьте имя";
    MayNotRead { path: &'a dyn fmt::Display } =>
        "you may not read {path}",
        "нет права читать {path}";
    Unreadable { path: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{path} cannot be read: {error}",
        "{path} не читается: {error}";
    NeitherFileNorFolder { path: &'a dyn fmt::Display } =>
        "{path} is neither a file nor a folder; to send what a program says, use: program | phantom send -",
        "{path} — не файл и не папка; чтобы отправить вывод программы: программа | phantom send -";
    OmitSpecial { path: &'a dyn fmt::Display } =>
        "{path} is left out: it is no file",
        "{path} пропущен: это не файл";
    OmitLink { path: &'a dyn fmt::Display } =>
        "{path} is left out: it is a link out of what is sent",
        "{path} пропущена: эта ссылка ведёт за пределы отправляемого";
    Shorter { name: &'a dyn fmt::Display } =>
        "{name} became shorter while it was sent; send it again",
        "{name}: стал короче во время отправки; отправьте ещё раз";
    Changed { path: &'a dyn fmt::Display } =>
        "{path} changed while it was sent; send it again when nobody writes to it",
        "{path} изменился во время отправки; отправьте ещё раз, когда в него никто не пишет";
    ReadStopped { name: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{name} cannot be read any further: {error}",
        "{name}: дальше не читается: {error}";
    NotRead =>
        "the file could not be read",
        "файл не удалось прочитать";

    // What cannot be received.
    NoFolder { folder: &'a dyn fmt::Display } =>
        "there is no folder {folder}; make it first",
        "папки {folder} нет; сначала создайте её";
    NotAFolder { path: &'a dyn fmt::Display } =>
        "{path} is there already and is no folder; choose another folder with --into",
        "{path} уже есть, и это не папка; выберите другую папку через --into";
    NotAFile { path: &'a dyn fmt::Display } =>
        "{path} is there already and is no file; choose another folder with --into",
        "{path} уже есть, и это не файл; выберите другую папку через --into";
    Exists { path: &'a dyn fmt::Display } =>
        "{path} exists already; use --overwrite to replace it, or --into for another folder",
        "{path} уже есть; чтобы заменить, добавьте --overwrite, а для другой папки — --into";
    Appeared { path: &'a dyn fmt::Display } =>
        "{path} appeared while it was received, and was left alone",
        "{path} появился во время приёма и остался как был";
    OneOutputName =>
        "several things come, and --output names one; use --into with a folder",
        "приходит несколько вещей, а --output называет одну; укажите папку через --into";
    OneForOutput =>
        "several files come, and standard output takes one; receive them without --stdout",
        "приходит несколько файлов, а в стандартный вывод идёт один; примите их без --stdout";
    OlderThere =>
        "the other side's program is older and sends files in a way unknown here; update that one",
        "программа другой стороны старше и передаёт файлы иначе; обновите её";
    NewerThere =>
        "the other side's program is newer and sends files in a way unknown here; update this one",
        "программа другой стороны новее и передаёт файлы иначе; обновите эту";
    NamesUnusable =>
        "a name that the other side offers cannot be used here, or comes twice; ask for it under another name",
        "имя, которое предлагает другая сторона, здесь не годится или повторяется; попросите прислать под другим";
    TooMuchOffered =>
        "the other side offers more files than can be taken at once; ask for one packed file",
        "другая сторона предлагает больше файлов, чем можно принять за раз; попросите прислать одним архивом";
    GivenUp =>
        "the transfer was given up",
        "передача прервана";
    ArrivedDamaged =>
        "the file arrived damaged and was thrown away; ask for it again",
        "файл пришёл повреждённым и выброшен; попросите прислать ещё раз";

    // What cannot be written: first what, then why.
    NotMadeIn { folder: &'a dyn fmt::Display } =>
        "nothing can be made in {folder}",
        "в {folder} ничего нельзя создать";
    NotMade { path: &'a dyn fmt::Display } =>
        "{path} cannot be made",
        "{path} нельзя создать";
    NotNamed { path: &'a dyn fmt::Display } =>
        "{path} cannot be given its name",
        "{path}: нельзя дать это имя";
    FileUnwritten =>
        "the file cannot be written",
        "файл не записывается";
    FilesUnwritten =>
        "the files cannot be written",
        "файлы не записываются";
    FolderUnwritten =>
        "the folder cannot be written",
        "папка не записывается";
    TextUnwritten =>
        "the text cannot be written",
        "текст не записывается";
    PartsUnread =>
        "what is there from an earlier time cannot be read",
        "оставшееся с прошлого раза не читается";
    DiskFull { what: &'a dyn fmt::Display } =>
        "{what}: the disk is full; make room, or choose another folder with --into",
        "{what}: диск полон; освободите место или выберите другую папку через --into";
    TooLarge { what: &'a dyn fmt::Display } =>
        "{what}: it is larger than this system allows",
        "{what}: он больше, чем позволяет эта система";
    MayNotWrite { what: &'a dyn fmt::Display } =>
        "{what}: you may not write there; choose another folder with --into",
        "{what}: нет права записи; выберите другую папку через --into";
    NameTooLong { what: &'a dyn fmt::Display } =>
        "{what}: the name is too long, or none for this system",
        "{what}: имя слишком длинное или не годится для этой системы";
    NobodyReads { what: &'a dyn fmt::Display } =>
        "{what}: nobody reads it any more",
        "{what}: его больше никто не читает";
    Failed { what: &'a dyn fmt::Display, error: &'a io::Error } =>
        "{what}: {error}",
        "{what}: {error}";

    // What the other side says.
    ToldWanted =>
        "the other side declined or stopped the transfer",
        "другая сторона отказалась или остановила передачу";
    ToldVersion =>
        "the other side's program is older and does not understand this transfer; update it",
        "программа другой стороны старше и не понимает этой передачи; обновите её";
    ToldExists =>
        "the other side already has a file of this name; it can use --overwrite to replace it, or --into for another folder",
        "у другой стороны уже есть файл с этим именем; заменить его там можно через --overwrite, а взять другую папку — через --into";
    ToldName =>
        "the other side cannot keep a file of this name; send it under another one with --name",
        "другой стороне это имя не подходит; отправьте под другим через --name";
    ToldWrite =>
        "the other side could not write the file; see the message there",
        "другая сторона не смогла записать файл; причина сказана там";
    ToldRead =>
        "the other side could not read its file to the end; see the message there",
        "другая сторона не смогла дочитать свой файл; причина сказана там";
    ToldDamaged =>
        "the file arrived damaged and was thrown away; send it again",
        "файл пришёл повреждённым и выброшен; отправьте ещё раз";
    ToldProtocol =>
        "the two programs do not understand each other; update the older one",
        "программы не понимают друг друга; обновите ту, что старше";
    ToldTooMuch =>
        "this is more than the other side can take at once; pack it into one file first, for example with tar or zip",
        "это больше, чем другая сторона может принять за раз; упакуйте в один файл, например tar или zip";
    }
}
