//! A machine of QEMU's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a machine may take. It needs 10 s with BIOS and 40 s with UEFI on a machine that does
/// nothing else.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a machine starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The medium is in a CD drive.
    Cd,
    /// It is an IDE disk.
    Disk,
    /// It is a USB stick at an xHCI controller.
    UsbStick,
    /// QEMU starts it as a Linux kernel.
    Kernel,
    /// The firmware fetches it by TFTP, as DHCP says.
    Network,
}

/// A machine that runs until this is dropped.
pub(crate) struct Machine {
    child: Child,
    console: PathBuf,
    messages: PathBuf,
}

impl Machine {
    /// Starts a machine from the medium `file`; with UEFI if `ovmf` says where that is. Its files go to
    /// `work`.
    pub(crate) fn start(
        work: &Path,
        file: &Path,
        from: From,
        ovmf: Option<&(PathBuf, PathBuf)>,
    ) -> std::io::Result<Self> {
        let console = work.join("console");
        let messages = work.join("messages");
        let mut qemu = Command::new("qemu-system-x86_64");
        // Five levels of page tables cost a third of the speed.
        qemu.args(["-nodefaults", "-machine", "pc,accel=tcg"])
            .args(["-cpu", "max,la57=off"])
            .args(["-m", "512", "-display", "none", "-vga", "std", "-no-reboot"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()));
        let file = file.display();
        let mut network = "user,id=lan".to_owned();
        match from {
            From::Cd => {
                qemu.args(["-cdrom", &file.to_string()]);
            }
            From::Disk => {
                qemu.args(["-drive", &format!("file={file},format=raw")]);
            }
            From::UsbStick => {
                qemu.args(["-device", "qemu-xhci", "-drive"])
                    .arg(format!("if=none,id=stick,file={file},format=raw"))
                    .args(["-device", "usb-storage,drive=stick,bootindex=0"]);
            }
            From::Kernel => {
                qemu.args(["-kernel", &file.to_string()]);
            }
            From::Network => {
                let name = Path::new(&file.to_string())
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default();
                network += &format!(",tftp={},bootfile={name}", work.display());
            }
        }
        qemu.args(["-netdev", &network, "-device", "virtio-net-pci,netdev=lan"]);
        if let Some((code, variables)) = ovmf {
            let own = work.join("variables");
            fs::copy(variables, &own)?;
            qemu.arg("-drive")
                .arg(format!(
                    "if=pflash,format=raw,readonly=on,file={}",
                    code.display()
                ))
                .arg("-drive")
                .arg(format!("if=pflash,format=raw,file={}", own.display()));
        }
        let output = fs::File::create(&messages)?;
        let child = qemu
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self {
            child,
            console,
            messages,
        })
    }

    /// Waits for the kernel to show its command line, which is what `/proc/cmdline` has, and gives
    /// it; or what the machine said instead.
    pub(crate) fn kernel_command_line(&mut self) -> Result<String, String> {
        let begin = Instant::now();
        loop {
            let shown = fs::read(&self.console).unwrap_or_default();
            let shown = String::from_utf8_lossy(&shown);
            let line = shown
                .split_once("Kernel command line: ")
                .and_then(|(_, rest)| rest.split_once('\n'));
            if let Some((line, _)) = line {
                return Ok(line.trim_end().to_owned());
            }
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || begin.elapsed() > DEADLINE {
                let messages = fs::read_to_string(&self.messages).unwrap_or_default();
                let shown: String = shown
                    .chars()
                    .filter(|c| !c.is_control() || *c == '\n')
                    .collect();
                let last = shown.char_indices().nth_back(2000).map_or(0, |(at, _)| at);
                return Err(format!(
                    "no kernel started in {:.0} s ({ended:?}).\n{messages}\nthe console's end:\n{}",
                    begin.elapsed().as_secs_f64(),
                    &shown[last..]
                ));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
