# An EFI application that starts the iPXE within itself and hands it a script.
#
# iPXE runs a file `autoexec.ipxe` that it finds on the volume it was started from. So this makes a
# volume that has one file, says that iPXE comes from there, and starts it. An iPXE from before 2021
# looks for no such file; for that one there are keys to type (`efi.rs`): Ctrl-B, and a command that
# runs the file. They come in the place of the keyboard, which is given back after the last one.
#
# Structures and numbers: UEFI specification 2.10. The code is at the image's first page, its data on
# the second; nothing in it depends on where it was loaded. RBX is the data in all of it.

        .intel_syntax noprefix
        .text

        # What is on the page of data. `efi.rs` fills in the first part.
        .set flags, 0x00                # bit 0: keep the device that this was started from
        .set script, 0x08               # distances from the page's beginning, and bytes
        .set script_length, 0x10
        .set inner, 0x18
        .set inner_length, 0x20
        .set keys, 0x28
        .set keys_length, 0x30
        .set loaded_image_id, 0x40      # GUIDs
        .set volume_id, 0x50
        .set path_id, 0x60
        .set file_info_id, 0x70
        .set device_path, 0x80          # of the volume
        .set image_path, 0xa0           # the same and a file on it
        .set file_path, 0xb4            # that file: the second node of image_path
        # The code fills in the rest.
        .set services, 0x100
        .set system, 0x108
        .set handle, 0x110
        .set image, 0x118
        .set interface, 0x120
        .set position, 0x128
        .set keyboard, 0x130            # the real one
        .set typist, 0x140              # ours: Reset, ReadKeyStroke, WaitForKey
        .set volume, 0x160              # Revision, OpenVolume
        .set file, 0x180                # Revision, ten functions
        .set path_installed, 0x1e0      # what has to be taken back
        .set volume_installed, 0x1e8
        .set borrowed, 0x1f0            # a volume that the device has already
        .set borrowed_open, 0x1f8       # its own OpenVolume
        .set status, 0x200

        .macro data
        lea rbx, [rip + start + 0x1000]
        .endm
        .macro function field, code
        lea rax, [rip + \code]
        mov [rbx + \field], rax
        .endm

        .globl start
start:
        push rbx
        push rsi
        sub rsp, 0x48
        data
        mov [rbx + image], rcx
        mov [rbx + system], rdx
        mov rsi, [rdx + 96]             # BootServices
        mov [rbx + services], rsi

        mov qword ptr [rbx + volume], 0x10000
        function volume+8, open_volume
        mov qword ptr [rbx + file], 0x10000
        function file+8, open
        function file+16, close
        function file+24, refuse        # Delete
        function file+32, read
        function file+40, refuse        # Write
        function file+48, refuse        # GetPosition
        function file+56, refuse        # SetPosition
        function file+64, information
        function file+72, refuse        # SetInfo
        function file+80, close         # Flush

        # The volume is on a handle of its own, with a path, or on the device's.
        test byte ptr [rbx + flags], 1
        jz own_handle
        mov rcx, [rbx + image]
        lea rdx, [rbx + loaded_image_id]
        lea r8, [rbx + interface]
        call [rsi + 152]                # HandleProtocol
        test rax, rax
        jnz leave
        mov rax, [rbx + interface]
        mov rax, [rax + 24]             # DeviceHandle
        mov [rbx + handle], rax
        jmp install
own_handle:
        lea rcx, [rbx + handle]
        lea rdx, [rbx + path_id]
        xor r8d, r8d
        lea r9, [rbx + device_path]
        call [rsi + 128]                # InstallProtocolInterface
        test rax, rax
        jnz leave
        inc byte ptr [rbx + path_installed]
install:
        lea rcx, [rbx + handle]
        lea rdx, [rbx + volume_id]
        xor r8d, r8d
        lea r9, [rbx + volume]
        call [rsi + 128]
        test rax, rax
        jnz borrow
        inc byte ptr [rbx + volume_installed]
        jmp load

        # The device has a volume: that of the disk, or of an iPXE in the network card's ROM. It
        # opens as ours for as long as iPXE runs.
borrow:
        mov rcx, [rbx + handle]
        lea rdx, [rbx + volume_id]
        lea r8, [rbx + interface]
        call [rsi + 152]
        test rax, rax
        jnz leave
        mov rax, [rbx + interface]
        mov [rbx + borrowed], rax
        mov rcx, [rax + 8]
        mov [rbx + borrowed_open], rcx
        lea rcx, [rip + open_volume]
        mov [rax + 8], rcx

load:
        xor ecx, ecx
        mov rdx, [rbx + image]
        lea r8, [rbx + image_path]
        mov r9, [rbx + inner]
        add r9, rbx
        mov rax, [rbx + inner_length]
        mov [rsp + 32], rax
        lea rax, [rbx + image]
        mov [rsp + 40], rax
        call [rsi + 200]                # LoadImage
        test rax, rax
        jnz leave

        test byte ptr [rbx + flags], 1
        jz type
        mov rcx, [rbx + image]
        lea rdx, [rbx + loaded_image_id]
        lea r8, [rbx + interface]
        call [rsi + 152]
        test rax, rax
        jnz leave
        mov rax, [rbx + interface]
        mov rcx, [rbx + handle]
        mov [rax + 24], rcx             # DeviceHandle
        lea rcx, [rbx + file_path]
        mov [rax + 32], rcx             # FilePath

type:
        cmp qword ptr [rbx + keys_length], 0
        je run
        mov ecx, 0x100                  # EVT_NOTIFY_WAIT
        mov edx, 16                     # TPL_NOTIFY
        lea r8, [rip + key_waits]
        xor r9d, r9d
        lea rax, [rbx + typist + 16]
        mov [rsp + 32], rax
        call [rsi + 80]                 # CreateEvent
        test rax, rax
        jnz leave
        function typist, close          # Reset
        function typist+8, next_key
        mov rcx, [rbx + system]
        mov rax, [rcx + 48]             # ConIn
        mov [rbx + keyboard], rax
        lea rax, [rbx + typist]
        mov [rcx + 48], rax

run:
        mov rcx, [rbx + image]
        xor edx, edx
        xor r8d, r8d
        call [rsi + 208]                # StartImage

        # iPXE gave up, or could not be started. Nothing may point into this from now on.
leave:
        mov [rbx + status], rax
        cmp qword ptr [rbx + keyboard], 0
        je keyboard_returned
        mov rcx, [rbx + system]
        mov rax, [rbx + keyboard]
        mov [rcx + 48], rax
        mov rcx, [rbx + typist + 16]
        call [rsi + 112]                # CloseEvent
keyboard_returned:
        mov rax, [rbx + borrowed]
        test rax, rax
        jz volume_returned
        mov rcx, [rbx + borrowed_open]
        mov [rax + 8], rcx
volume_returned:
        cmp byte ptr [rbx + volume_installed], 0
        je volume_gone
        mov rcx, [rbx + handle]
        lea rdx, [rbx + volume_id]
        lea r8, [rbx + volume]
        call [rsi + 144]                # UninstallProtocolInterface
volume_gone:
        cmp byte ptr [rbx + path_installed], 0
        je path_gone
        mov rcx, [rbx + handle]
        lea rdx, [rbx + path_id]
        lea r8, [rbx + device_path]
        call [rsi + 144]
path_gone:
        mov rax, [rbx + status]
        add rsp, 0x48
        pop rsi
        pop rbx
        ret

# (this, root out)
open_volume:
        push rbx
        data
        lea rax, [rbx + file]
        mov [rdx], rax
        pop rbx
        xor eax, eax
        ret

# (this, file out, name, mode, attributes): whatever the name is, it is the script.
open:
        push rbx
        data
        mov qword ptr [rbx + position], 0
        lea rax, [rbx + file]
        mov [rdx], rax
        pop rbx
close:
        xor eax, eax
        ret

refuse:
        mov rax, 0x8000000000000003     # EFI_UNSUPPORTED
        ret

# (this, size in out, buffer)
read:
        push rbx
        push rsi
        push rdi
        data
        mov rcx, [rbx + script_length]
        sub rcx, [rbx + position]
        cmp rcx, [rdx]
        jbe enough
        mov rcx, [rdx]
enough:
        mov [rdx], rcx
        mov rsi, [rbx + script]
        add rsi, rbx
        add rsi, [rbx + position]
        add [rbx + position], rcx
        mov rdi, r8
        cld
        rep movsb
        pop rdi
        pop rsi
        pop rbx
        xor eax, eax
        ret

# (this, kind, size in out, buffer): EFI_FILE_INFO of a file without a name
information:
        push rbx
        data
        mov rax, [rdx]
        cmp rax, [rbx + file_info_id]
        jne other
        cmp qword ptr [r8], 82
        mov qword ptr [r8], 82
        jb short_buffer
        xor eax, eax
        mov ecx, 10
zero:   mov [r9 + rcx * 8 - 8], rax
        dec ecx
        jnz zero
        mov word ptr [r9 + 80], ax
        mov qword ptr [r9], 82
        mov rax, [rbx + script_length]
        mov [r9 + 8], rax
        mov [r9 + 16], rax
        mov byte ptr [r9 + 72], 1       # EFI_FILE_READ_ONLY
        pop rbx
        xor eax, eax
        ret
other:
        pop rbx
        jmp refuse
short_buffer:
        pop rbx
        mov rax, 0x8000000000000005     # EFI_BUFFER_TOO_SMALL
        ret

# (this, key out)
next_key:
        push rbx
        data
        mov rax, [rbx + keys]
        movzx ecx, byte ptr [rbx + rax]
        mov word ptr [rdx], 0           # ScanCode
        mov [rdx + 2], cx               # UnicodeChar
        inc qword ptr [rbx + keys]
        dec qword ptr [rbx + keys_length]
        jnz more
        mov rcx, [rbx + system]
        mov rax, [rbx + keyboard]
        mov [rcx + 48], rax
more:
        pop rbx
        xor eax, eax
        ret

# (event, context): there is a key as long as this is asked.
key_waits:
        push rbx
        sub rsp, 0x20
        data
        mov rax, [rbx + services]
        call [rax + 104]                # SignalEvent
        add rsp, 0x20
        pop rbx
        ret
