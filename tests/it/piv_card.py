#!/usr/bin/env python3
"""A card with the PIV application (NIST SP 800-73-4), as far as OpenSC needs one, in the virtual reader of vsmartcard (vpcd).

piv_card.py reader FOLDER

Makes a pcscd of one's own: prints the reader's port, then becomes `pcscd`, which listens on FOLDER/pcscd.comm (for its
clients' PCSCLITE_CSOCK_NAME). It takes that socket over as it takes one from systemd.

piv_card.py card PORT PIN

One command a line on standard input, each answered by a line:

insert FOLDER     the card is put into the reader: certificate.der, key.pem (P-256), guid (32 hexadecimal digits), and
                  the counter of PINs left in `tries`; `verified` gets a line for each PIN that was presented
remove            it is pulled
pull-at-sign      it is pulled by the next signature, before that is answered
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
AID = bytes.fromhex("A000000308000010000100")
ATR = bytes.fromhex("3BD518FF8191FE1FC38073C8211309")

# Begins with agency code 9999: then the GUID identifies the card
FASC_N = bytes.fromhex("D4E739FF") + bytes(21)


def tlv(tag, value):
    size = len(value)
    length = bytes([size]) if size < 0x80 else b"\x81" + bytes([size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    return bytes.fromhex(tag) + length + value


class Card:
    def __init__(self, folder, pin):
        self.folder, self.pin = folder, pin.encode().ljust(8, b"\xff")
        self.verified, self.chained, self.rest = False, b"", b""

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    @property
    def tries(self):
        try:
            return int(self.read("tries"))
        except FileNotFoundError:
            return 3

    @tries.setter
    def tries(self, left):
        with open(os.path.join(self.folder, "tries"), "w") as file:
            file.write(str(left))

    def reset(self):
        self.verified, self.chained, self.rest = False, b"", b""

    def data(self, name):
        guid = bytes.fromhex(self.read("guid").decode().strip())
        objects = {
            # card holder unique identifier: its GUID becomes the serial number
            "5FC102": tlv("30", FASC_N) + tlv("34", guid) + tlv("35", b"20991231") + tlv("3E", b"") + tlv("FE", b""),
            # card capability container
            "5FC107": tlv("F0", guid[:7] + bytes(14)) + tlv("F1", b"\x21") + tlv("F2", b"\x21") + tlv("FE", b""),
            # certificate for digital signature (key 9C)
            "5FC10A": tlv("70", self.read("certificate.der")) + tlv("71", b"\0") + tlv("FE", b""),
        }
        if name == "7E":
            return tlv("7E", tlv("4F", AID) + tlv("5F2F", b"\x40\0"))
        return tlv("53", objects[name]) if name in objects else None

    def sign(self, digest):
        key = os.path.join(self.folder, "key.pem")
        made = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key], input=digest, capture_output=True, check=True)
        return made.stdout

    def transmit(self, apdu):
        cla, ins, p1, p2 = apdu[:4]
        if ins == 0xC0:
            return self.page()
        body = apdu[5:5 + apdu[4]] if len(apdu) > 5 else b""
        if len(apdu) > 7 and apdu[4] == 0:
            body = apdu[7:7 + int.from_bytes(apdu[5:7], "big")]
        if cla & 0x10:
            self.chained += body
            return b"\x90\0"
        body, self.chained = self.chained + body, b""
        answer = self.command(ins, p1, p2, body)
        if isinstance(answer, int):
            return answer.to_bytes(2, "big")
        self.rest = answer
        return self.page()

    def page(self):
        page, self.rest = self.rest[:256], self.rest[256:]
        return page + (b"\x61" + bytes([min(len(self.rest), 255)]) if self.rest else b"\x90\0")

    def command(self, ins, p1, p2, body):
        if ins == 0xA4:
            if body and AID.startswith(body):
                self.verified = False
                return tlv("61", tlv("4F", AID[5:]) + tlv("79", tlv("4F", AID[:5])) + tlv("50", b"PIV"))
            return 0x6A82
        if ins == 0xCB:
            found = self.data(body[2:2 + body[1]].hex().upper())
            return 0x6A82 if found is None else found
        if ins == 0x20:
            return self.verify(p1, body)
        if ins == 0x87 and p2 == 0x9C:
            return self.authenticate(p1, body)
        return 0x6D00

    def verify(self, p1, body):
        if p1 == 0xFF:
            self.verified = False
            return 0x9000
        if not body:
            return 0x9000 if self.verified else 0x63C0 + self.tries
        with open(os.path.join(self.folder, "verified"), "a") as file:
            file.write("presented\n")
        if self.tries == 0:
            return 0x6983
        if body != self.pin:
            self.tries, self.verified = self.tries - 1, False
            return 0x63C0 + self.tries if self.tries else 0x6983
        self.tries, self.verified = 3, True
        return 0x9000

    def authenticate(self, algorithm, body):
        if not self.verified:
            return 0x6982
        if algorithm != 0x11 or body[0] != 0x7C:
            return 0x6A80
        at = 2
        while body[at] != 0x81:
            at += 2 + body[at + 1]
        # Key 9C: the PIN is good for one signature (SP 800-73-4 part 1, 5.5)
        self.verified = False
        return tlv("7C", tlv("82", self.sign(body[at + 2:at + 2 + body[at + 1]])))


class Slot:
    """The protocol of vpcd: two bytes of length before each message. A card in the slot is a connection."""

    def __init__(self, port):
        self.port, self.wire, self.pull = port, None, False

    def insert(self, card):
        self.remove()
        for _ in range(400):
            try:
                self.wire = socket.create_connection(("127.0.0.1", self.port))
                break
            except ConnectionRefusedError:  # the reader is not there yet, or has not noticed the removal
                time.sleep(0.05)
        threading.Thread(target=self.serve, args=(card, self.wire), daemon=True).start()

    def remove(self):
        if self.wire:
            try:
                self.wire.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.wire.close()
        self.wire = None

    def serve(self, card, wire):
        try:
            while True:
                message = self.all(wire, struct.unpack(">H", self.all(wire, 2))[0])
                if message == b"\x04":
                    self.say(wire, ATR)
                elif len(message) == 1:
                    card.reset()
                elif self.pull and message[1] == 0x87:
                    self.pull = False
                    self.remove()
                else:
                    self.say(wire, card.transmit(message))
        except OSError:
            pass

    @staticmethod
    def all(wire, size):
        got = b""
        while len(got) < size:
            more = wire.recv(size - len(got))
            if not more:
                raise OSError("closed")
            got += more
        return got

    @staticmethod
    def say(wire, message):
        wire.sendall(struct.pack(">H", len(message)) + message)


def become_pcscd(folder):
    # vpcd takes two ports in a row, one for each of its slots
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                break
            except (OSError, OverflowError):
                continue
    configuration = os.path.join(folder, "reader.conf.d")
    os.mkdir(configuration)
    with open(os.path.join(configuration, "vpcd"), "w") as file:
        file.write(f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:{port}\nLIBPATH {DRIVER}\nCHANNELID {port}\n')
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.join(folder, "pcscd.comm"))
    listening.listen(16)
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)
    print(port, flush=True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp("pcscd", ["pcscd", "--foreground", "--critical", "--config", configuration])


def play_card(port, pin):
    slot = Slot(port)
    for line in sys.stdin:
        word, *more = line.split()
        if word == "insert":
            slot.insert(Card(more[0], pin))
        elif word == "remove":
            slot.remove()
        elif word == "pull-at-sign":
            slot.pull = True
        print("done", flush=True)


if sys.argv[1] == "reader":
    become_pcscd(sys.argv[2])
else:
    play_card(int(sys.argv[2]), sys.argv[3])
