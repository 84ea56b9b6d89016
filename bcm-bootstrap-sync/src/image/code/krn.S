# Gives an iPXE that a boot loader started as a Linux kernel the script behind it in its own file.
#
# It lives in the first sector of `ipxe.lkrn`, where a kernel from the days of floppies had its boot
# sector and where iPXE has nothing. The first instructions of iPXE's set-up code reload CS by a far
# return; `krn.rs` makes that return come here, and this ends where it would have gone.
#
# The loader put the script behind iPXE's payload, above 1 MiB, where iPXE unpacks itself. So the
# script moves out of the way, and the header's two fields for an initial RAM disk name it: iPXE runs
# a script that it finds there. A RAM disk that the loader brought comes first.
#
# Register state: CS = DS = the segment of the set-up code; nothing else is expected on either side.

        .code16
        .intel_syntax noprefix
        .text

        .set ramdisk_image, 0x218       # Documentation/arch/x86/boot.rst of Linux
        .set ramdisk_size, 0x21c

        # `krn.rs` fills in these; the code begins behind them.
target: .long 0                         # where the script goes
length: .long 0                         # the script's bytes
words:  .word 0                         # the same in words, rounded up
back:   .word 0                         # where iPXE's set-up code goes on

        # A table of segments as INT 15h, AH = 87h wants it.
table:  .fill 16, 1, 0
source: .word 0xffff                    # `krn.rs` fills in the base address: three bytes here,
        .byte 0, 0, 0, 0x93, 0, 0       # and the fourth at the end
sink:   .word 0xffff
        .byte 0, 0, 0, 0x93, 0, 0
        .fill 16, 1, 0

        .globl start
start:
        xor ax, ax
        mov ss, ax
        mov sp, 0x7c00
        cmp dword ptr ds:[ramdisk_size], 0
        jne done
        push ds
        pop es
        mov si, offset table
        mov cx, ds:[words]
        mov ah, 0x87
        push ds
        int 0x15
        pop ds
        jc done
        mov eax, ds:[target]
        mov ds:[ramdisk_image], eax
        mov eax, ds:[length]
        mov ds:[ramdisk_size], eax
done:
        jmp word ptr ds:[back]
