//! An address as a QR code on a terminal.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// The QR code of `address`: blocks in black on white, whatever the terminal's colours are.
pub fn code(address: &str) -> Option<String> {
    let code = QrCode::new(address).ok()?;
    let blocks = code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    let lines: Vec<_> = blocks.lines().map(|line| format!("\x1b[30;107m{line}\x1b[0m")).collect();
    Some(lines.join("\n"))
}
