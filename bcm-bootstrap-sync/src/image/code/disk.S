# Loads a Linux kernel image from a disk or a CD and starts it: the boot code of ISO and USB images.
#
# The BIOS loads this to 0:7C00 as a master boot record or as an El Torito image without emulation,
# with the drive in DL. The kernel image lies in sectors that follow each other: its real-mode part
# first, from a sector's beginning, then the rest from another's. It goes where Linux's boot protocol
# wants it (Documentation/arch/x86/boot.rst): the first part to 1000:0000, the rest to 1 MiB.

        .code16
        .intel_syntax noprefix
        .text
        .globl start
start:
        cli
        xor ax, ax
        mov ss, ax
        mov sp, 0x7c00
        mov ds, ax
        mov es, ax
        sti
        cld
        ljmp 0, offset here
here:
        mov ds:[drive], dl

        # The real-mode part.
        call read
        mov word ptr ds:[segment], 0x2000
        mov ax, ds:[piece]
        xchg ax, ds:[count]
        call forward

        # The rest, a piece of 32 KiB at a time.
next:
        call read
        push 0
        pop es
        mov si, offset table
        mov cx, 0x4000
        mov ah, 0x87
        int 0x15
        jc failed
        add word ptr ds:[sink + 2], 0x8000
        adc byte ptr ds:[sink + 4], 0
        mov ax, ds:[piece]
        call forward
        mov ax, 0x0e2e                  # a full stop for each piece
        mov bx, 0x0007
        int 0x10
        dec word ptr ds:[pieces]
        jnz next

        # The header: a loader without a number of its own, and a heap.
        mov ax, 0x1000
        mov es, ax
        mov byte ptr es:[0x210], 0xff
        or byte ptr es:[0x211], 0x80
        mov word ptr es:[0x224], 0xde00
        cli
        mov ds, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov sp, 0xe000
        ljmp 0x1020, 0

# Moves on by AX sectors.
forward:
        movzx eax, ax
        add ds:[sector], eax
        ret

# Reads what the packet says; tries three times.
read:
        mov bp, 3
again:
        mov si, offset packet
        mov dl, ds:[drive]
        mov ah, 0x42
        int 0x13
        jnc fine
        xor ah, ah
        mov dl, ds:[drive]
        int 0x13
        dec bp
        jnz again
failed:
        mov si, offset words
letter: lodsb
        test al, al
        jz stop
        mov ah, 0x0e
        mov bx, 0x0007
        int 0x10
        jmp letter
stop:   xor ah, ah
        int 0x16
        int 0x18
        hlt
        jmp stop
fine:   ret

words:  .asciz "\r\nThis boot medium cannot be read. Press a key."
drive:  .byte 0

        # A table of segments as INT 15h, AH = 87h wants it: from 20000h to 1 MiB.
table:  .fill 16, 1, 0
source: .word 0xffff
        .byte 0, 0, 2, 0x93, 0, 0
sink:   .word 0xffff
        .byte 0, 0, 0x10, 0x93, 0, 0
        .fill 16, 1, 0

        # `disk.rs` fills in what follows.
        .org 0x1a0
packet: .byte 16, 0                     # INT 13h, AH = 42h
count:  .word 0                         # sectors of the real-mode part
        .word 0
segment: .word 0x1000
sector: .long 0, 0                      # where it is
piece:  .word 0                         # sectors in 32 KiB
pieces: .word 0                         # how many of them
        .org 0x1b8
