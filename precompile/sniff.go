package precompile

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	moduleMagic  = "\x00asm"
	moduleHeader = moduleMagic + "\x01\x00\x00\x00"
	replacement  = "\uFFFD"
)

// sniffBytes is how much of an upload is looked at to tell what it is.
const sniffBytes = 64 << 10

// What several messages say.
const (
	onlyWasm    = "only WebAssembly modules run here"
	uploadZip   = "upload the module in a zip (executor precompile FILE.wasm writes one)"
	precompiled = "this is a module precompiled for %s; upload the .wasm: native code from elsewhere is never loaded"
	damaged     = "the code was damaged on its way: its bytes were taken for text, U+FFFD stands at offset %d; wsk does this to a raw .wasm file: " + uploadZip
)

func isModule(code []byte) bool { return bytes.HasPrefix(code, []byte(moduleMagic)) }

// checkModule says what stands where a core module should.
func checkModule(code []byte) error {
	if isModule(code) {
		return checkHeader(code)
	}
	if len(code) == 0 {
		return refuse(FaultModule, "the module is empty")
	}
	if isArchive(code) {
		return refuse(FaultArchive, "this is an archive within an archive; put the module at the top of one")
	}
	if name, ok := nativeArtefact(code); ok {
		return refuse(FaultModule, precompiled, name)
	}
	if name, ok := nativeExecutable(code); ok {
		return refuse(FaultModule, "this is a native executable (%s); %s: build it for wasip1", name, onlyWasm)
	}
	if isText(code) {
		return textError(code)
	}
	if at, ok := mangled(code); ok {
		return refuse(FaultModule, damaged, at)
	}
	return refuse(FaultModule, "this is no WebAssembly module: it begins with % x; if it was precompiled, upload the .wasm", code[:min(len(code), 8)])
}

func checkHeader(code []byte) error {
	switch {
	case len(code) < len(moduleHeader):
		return refuse(FaultModule, "the module ends after %d bytes, within its header", len(code))
	case binary.LittleEndian.Uint16(code[6:]) == 1:
		return refuse(FaultModule, "this is a WebAssembly component; build a core module (target wasip1), components do not run here")
	case !bytes.HasPrefix(code, []byte(moduleHeader)):
		return refuse(FaultModule, "the module is of WebAssembly version %d; only version 1 is known", binary.LittleEndian.Uint32(code[4:]))
	}
	if at, ok := mangled(code); ok && !framed(code) {
		return refuse(FaultModule, damaged, at)
	}
	return nil
}

// mangled tells whether a client read these bytes as text: then they are UTF-8
// throughout, and replacement characters stand for what was not.
func mangled(code []byte) (at int, ok bool) {
	if !utf8.Valid(code) { // which is soon found out
		return 0, false
	}
	at = bytes.Index(code, []byte(replacement))
	return at, at >= 0
}

// framed tells whether a module's sections fill it exactly. A replacement
// character is longer than what it replaced, so a mangled module never passes.
func framed(module []byte) bool {
	rest := module[len(moduleHeader):]
	for len(rest) > 0 {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return false
		}
		rest = rest[1+n+int(size):]
	}
	return true
}

// nativeArtefact knows the formats in which engines keep compiled modules.
func nativeArtefact(code []byte) (engine string, ok bool) {
	magics := []struct{ magic, engine string }{
		{"\x00wasmtime-aot", "wasmtime"},
		{"\x00wasmer-", "wasmer"},
		{"wasmer-universal", "wasmer"},
		{"WASMER", "wasmer"},
		{"\x00aot", "wamr"},
		{"WAZERO", "wazero"},
	}
	for _, m := range magics {
		if bytes.HasPrefix(code, []byte(m.magic)) {
			return m.engine, true
		}
	}
	if !bytes.HasPrefix(code, []byte("\x7fELF")) {
		return "", false
	}
	return elfArtefact(code)
}

// elfArtefact tells an engine's ELF file from an executable: wasmtime has an
// OS ABI of its own (200), and both engines name sections or symbols after
// themselves.
func elfArtefact(code []byte) (engine string, ok bool) {
	switch {
	case len(code) > 7 && code[7] == 200, bytes.Contains(code, []byte(".wasmtime.")):
		return "wasmtime", true
	case bytes.Contains(code, []byte("WASMER_METADATA")):
		return "wasmer", true
	}
	return "", false
}

func nativeExecutable(code []byte) (format string, ok bool) {
	magics := []struct{ magic, format string }{
		{"\x7fELF", "ELF"},
		{"MZ", "Windows"},
		{"\xcf\xfa\xed\xfe", "Mach-O"},
		{"\xca\xfe\xba\xbe", "Mach-O or Java class"},
	}
	for _, m := range magics {
		if bytes.HasPrefix(code, []byte(m.magic)) {
			return m.format, !isText(code)
		}
	}
	return "", false
}

// isText tells by the start of the code, whose cut may split a character.
func isText(code []byte) bool {
	head := code[:min(len(code), 512)]
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return len(head) < utf8.UTFMax && len(code) > 512
		}
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return false
		}
		head = head[n:]
	}
	return true
}

func textError(code []byte) error {
	line := firstLine(string(code[:min(len(code), 512)]))
	switch {
	case strings.HasPrefix(line, "#!"):
		return refuse(FaultModule, "this is a script (%s); %s", line, onlyWasm)
	case strings.HasPrefix(line, "(module"), strings.HasPrefix(line, "(component"), strings.HasPrefix(line, ";;"):
		return refuse(FaultModule, "this is WebAssembly text; assemble it to a .wasm first")
	case strings.HasPrefix(line, "AGFzb"), strings.HasPrefix(line, "UEsD"), strings.HasPrefix(line, "H4sI"):
		return refuse(FaultEncoding, "this is base64 of base64; encode the code once")
	}
	return refuse(FaultModule, "this is text (%q), not a WebAssembly module; %s: compile it and %s", line, onlyWasm, uploadZip)
}

// firstLine is the start of a text, short enough for a message.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimRight(line, "\r")
	if runes := []rune(line[:min(len(line), 200)]); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return line
}
