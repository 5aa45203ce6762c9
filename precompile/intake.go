// Package precompile stands between what a developer uploads and what an engine
// runs.
//
// [Intake] finds the one WebAssembly module in an upload, whatever it came
// wrapped in, and refuses everything else with a text that tells the developer
// what to do. [Pack] writes an upload. [Cache] keeps compiled modules on disk,
// so that code seen before need not be compiled again.
//
// Uploads are hostile: sizes that an archive declares are never trusted, and
// nothing is ever written under a name from an archive.
package precompile

import (
	"bytes"
	"crypto/sha256"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// Limits bounds an upload. Zero fields mean the defaults.
type Limits struct {
	CodeBytes   int64 // of the upload, not counting base64; default 48 MiB
	BinaryBytes int64 // of the module, unpacked; default 128 MiB
	TotalBytes  int64 // of all entries of an archive, unpacked; default 256 MiB
	Entries     int   // of an archive, directories included; default 4096
	Ratio       int64 // unpacked to packed, past the first MiB; default 200
}

// The defaults of [Limits]. DefaultCodeBytes is OpenWhisk's. The densest module
// in our corpus packs 12 to 1.
const (
	DefaultCodeBytes   = 48 << 20
	DefaultBinaryBytes = 128 << 20
	DefaultTotalBytes  = 256 << 20
	DefaultEntries     = 4096
	DefaultRatio       = 200
)

// manifestBytes bounds a manifest, which holds two short words.
const manifestBytes = 4 << 10

func (l Limits) withDefaults() Limits {
	l.CodeBytes = positive(l.CodeBytes, DefaultCodeBytes)
	l.BinaryBytes = positive(l.BinaryBytes, DefaultBinaryBytes)
	l.TotalBytes = positive(l.TotalBytes, DefaultTotalBytes)
	l.Entries = positive(l.Entries, DefaultEntries)
	l.Ratio = positive(l.Ratio, DefaultRatio)
	return l
}

func positive[T int | int64](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Action is what an upload holds.
type Action struct {
	// Binary is a core WebAssembly module by its first bytes; whether it is
	// valid, an engine must say. It may share memory with the upload.
	Binary []byte

	// Hash is the SHA-256 of Binary.
	Hash [sha256.Size]byte

	Manifest Manifest

	// upload tells the upload from all others, see [Cache.Intake].
	upload uploadID

	// preview was shown the binary as it was unpacked; nil for none.
	preview engine.Preview
}

// Manifest is what the author says about an action, in manifest.json at the top
// of an archive. Its zero value says nothing.
type Manifest struct {
	// ABI is the guest contract; empty means that the exports tell.
	ABI abi.Name
	// Main is the entry point within the module, for contracts that have
	// several.
	Main string
}

// Intake finds the module in code, which is a module, an archive of one (zip,
// tar, each also gzipped) or a gzipped module. The error is [ErrNoCode] if code
// is empty, and otherwise an [IntakeError].
//
// In an archive the module is action.wasm, else main.wasm or exec if they hold
// one, else the only *.wasm, else the first entry.
func Intake(code []byte, limits Limits) (Action, error) { return intake(code, limits, nil) }

// intake shows the module to a preview, if there is one.
func intake(code []byte, limits Limits, preview engine.Preview) (Action, error) {
	limits = limits.withDefaults()
	if len(code) == 0 {
		return Action{}, ErrNoCode
	}
	if int64(len(code)) > limits.CodeBytes {
		return Action{}, tooLarge("the code", int64(len(code)), limits.CodeBytes)
	}
	action, err := unwrap(code, limits, preview)
	if err != nil {
		return Action{}, err
	}
	return action, nil
}

func unwrap(code []byte, limits Limits, preview engine.Preview) (Action, error) {
	switch {
	case isZip(code):
		return intakeZip(code, limits, preview)
	case isGzip(code):
		return intakeGzip(code, limits)
	case isTar(code):
		return intakeTar(plainTar(code), limits)
	}
	if int64(len(code)) > limits.BinaryBytes {
		return Action{}, tooLarge("the module", int64(len(code)), limits.BinaryBytes)
	}
	return Action{Binary: code, Hash: sha256.Sum256(code)}, checkModule(code)
}

func isZip(code []byte) bool {
	return bytes.HasPrefix(code, []byte("PK\x03\x04")) || bytes.HasPrefix(code, []byte("PK\x05\x06"))
}

func isGzip(code []byte) bool { return bytes.HasPrefix(code, []byte("\x1f\x8b\x08")) }

func isArchive(code []byte) bool { return isZip(code) || isGzip(code) || isTar(code) }
