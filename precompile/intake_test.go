package precompile

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/abi"
)

// file is an entry of an archive to be made.
type file struct {
	name, content string
	mode          fs.FileMode
	store         bool
}

// module returns a module of about n bytes that packs badly, as code does, and
// is no UTF-8.
func module(n int) string {
	src := rand.New(rand.NewPCG(1, uint64(n)))
	payload := []byte{1, 'x', 0xff}
	for len(payload) < n {
		payload = append(payload, byte(src.Uint32()))
	}
	return custom(string(payload))
}

// custom returns a module with one custom section.
func custom(payload string) string {
	section := binary.AppendUvarint([]byte{0}, uint64(len(payload)))
	return moduleHeader + string(section) + payload
}

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.store {
			h.Method = zip.Store
		}
		h.SetMode(f.mode | 0o644)
		e, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = e.Write([]byte(f.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h, err := tar.FileInfoHeader(fakeInfo{f}, f.content)
		require.NoError(t, err)
		h.Name = f.name
		require.NoError(t, w.WriteHeader(h))
		if f.mode.IsRegular() {
			_, err = w.Write([]byte(f.content))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// fakeInfo lets a file of a test stand in a tar.
type fakeInfo struct{ f file }

func (i fakeInfo) Name() string       { return i.f.name }
func (i fakeInfo) Mode() fs.FileMode  { return i.f.mode | 0o644 }
func (i fakeInfo) ModTime() time.Time { return time.Time{} }
func (i fakeInfo) IsDir() bool        { return i.f.mode.IsDir() }
func (i fakeInfo) Sys() any           { return nil }

func (i fakeInfo) Size() int64 { return int64(len(i.f.content)) }

func gzipOf(t testing.TB, content []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestIntakeFindsTheModule(t *testing.T) {
	t.Parallel()
	mod, other := module(3000), module(2000)
	junk := file{name: "README.md", content: "read me"}
	tests := map[string][]file{
		"action.wasm":                   {{name: "action.wasm", content: mod}},
		"action.wasm among modules":     {{name: "a.wasm", content: other}, {name: "action.wasm", content: mod}},
		"the only .wasm":                {junk, {name: "add.wasm", content: mod}},
		"the only .wasm, deeper":        {{name: "build/release/Add.WASM", content: mod}, junk},
		"./action.wasm":                 {{name: "./action.wasm", content: mod}},
		"stored":                        {{name: "action.wasm", content: mod, store: true}},
		"main.wasm":                     {{name: "lib.wasm", content: other}, {name: "main.wasm", content: mod}},
		"exec holding a module":         {{name: "lib.wasm", content: other}, {name: "exec", content: mod}},
		"exec that is none":             {{name: "exec", content: "#!/bin/sh"}, {name: "a.wasm", content: mod}},
		"wow: single entry":             {{name: "content", content: mod, store: true}},
		"wow: first of several":         {{name: "content", content: mod}, junk},
		"manifest before a single file": {{name: "manifest.json", content: "{}"}, {name: "x", content: mod}},
		"from a Mac":                    {{name: "add.wasm", content: mod}, {name: "__MACOSX/._add.wasm", content: "\x00\x05\x16\x07"}},
		"with directories":              {{name: "d/", mode: fs.ModeDir}, {name: "d/add.wasm", content: mod}},
	}
	for name, files := range tests {
		packings := map[string][]byte{
			"zip":    zipOf(t, files...),
			"tar":    tarOf(t, files...),
			"tar.gz": gzipOf(t, tarOf(t, files...)),
		}
		for packing, code := range packings {
			t.Run(packing+"/"+name, func(t *testing.T) {
				t.Parallel()
				requireModule(t, mod, code)
			})
		}
	}
	for name, code := range map[string][]byte{"raw": []byte(mod), "gzip": gzipOf(t, []byte(mod))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireModule(t, mod, code)
		})
	}
}

func requireModule(t *testing.T, want string, code []byte) {
	t.Helper()
	action, err := Intake(code, Limits{})
	require.NoError(t, err)
	require.Equal(t, want, string(action.Binary))
	require.Equal(t, sha256.Sum256([]byte(want)), action.Hash)
}

func TestIntakeBase64(t *testing.T) {
	t.Parallel()
	mod := module(3002) // needs padding
	text := base64.StdEncoding.EncodeToString([]byte(mod))
	require.True(t, strings.HasSuffix(text, "="))
	var lines strings.Builder
	for chunk := range chunks(text, 76) {
		lines.WriteString(chunk + "\r\n")
	}
	tests := map[string]string{
		"standard":       text,
		"no padding":     strings.TrimRight(text, "="),
		"line breaks":    lines.String(),
		"blanks around":  "\n " + text + " \n",
		"blanks, binary": "\n    " + mod,
		"zip":            base64.StdEncoding.EncodeToString(zipOf(t, file{name: "action.wasm", content: mod})),
		"tar.gz":         base64.StdEncoding.EncodeToString(gzipOf(t, tarOf(t, file{name: "action.wasm", content: mod}))),
		"binary as text": mod,
	}
	for name, code := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action, err := IntakeBase64(code, Limits{})
			require.NoError(t, err)
			require.Equal(t, mod, string(action.Binary))
		})
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			cut := min(n, len(s))
			if !yield(s[:cut]) {
				return
			}
			s = s[cut:]
		}
	}
}

// textTrip is what a client does to bytes that it takes for text.
func textTrip(code string) string { return strings.ToValidUTF8(code, replacement) }

// everyByte replaces each bad byte by itself, as most decoders do.
func everyByte(code string) string {
	var out strings.Builder
	for _, r := range code {
		out.WriteRune(r)
	}
	return out.String()
}

func TestIntakeBase64Refuses(t *testing.T) {
	t.Parallel()
	mod := module(3000)
	text := base64.StdEncoding.EncodeToString([]byte(mod))
	tests := map[string]struct {
		code  string
		fault Fault
		say   string
	}{
		"not base64":        {text[:500] + "*" + text[500:], FaultEncoding, `the code is not base64: unexpected '*' at offset 500`},
		"URL-safe":          {"AGFz-_" + text, FaultEncoding, `the code is not base64: unexpected '-' at offset 4`},
		"cut short":         {text[:len(text)-3], FaultEncoding, "it ends in the middle of a byte"},
		"base64 of base64":  {base64.StdEncoding.EncodeToString([]byte(text)), FaultEncoding, "base64 of base64"},
		"JavaScript":        {"function main(args) {\n  return args\n}", FaultModule, `this is text ("function main(args) {"), not a WebAssembly module`},
		"script":            {"#!/bin/bash\necho", FaultModule, "this is a script (#!/bin/bash); only WebAssembly modules run here"},
		"raw wasm by wsk":   {textTrip(mod), FaultModule, "wsk does this to a raw .wasm file: upload the module in a zip"},
		"the same, by rune": {everyByte(mod), FaultModule, "U+FFFD stands at offset "},
		"zip as text":       {textTrip(string(zipOf(t, file{name: "action.wasm", content: mod}))), FaultArchive, "was damaged on its way"},
		"gzip as text":      {textTrip(string(gzipOf(t, []byte(mod)))), FaultModule, "was damaged on its way"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := IntakeBase64(tt.code, Limits{})
			requireRefusal(t, err, tt.fault, tt.say)
		})
	}
}

func requireRefusal(t *testing.T, err error, fault Fault, say string) {
	t.Helper()
	var refused *IntakeError
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Message, say)
	assert.Equal(t, fault, refused.Fault, "fault of %q", refused.Message)
}

func TestModuleMayHoldReplacementCharacters(t *testing.T) {
	t.Parallel()
	for name, mod := range map[string]string{
		"in UTF-8 throughout": custom("\x01xsome \uFFFD text"),
		"among other bytes":   custom("\x01x\xff \uFFFD"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireModule(t, mod, []byte(mod))
		})
	}
}

func TestNoCode(t *testing.T) {
	t.Parallel()
	_, err := Intake(nil, Limits{})
	require.ErrorIs(t, err, ErrNoCode)
	for _, code := range []string{"", " \n", "===="} {
		_, err := IntakeBase64(code, Limits{})
		require.ErrorIs(t, err, ErrNoCode, "IntakeBase64(%q)", code)
	}
}

func TestIntakeRefusesWhatIsNoModule(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code  string
		fault Fault
		say   string
	}{
		"ELF executable":     {"\x7fELF\x02\x01\x01\x00" + strings.Repeat("\x00", 60), FaultModule, "native executable (ELF)"},
		"Mach-O executable":  {"\xcf\xfa\xed\xfe\x07\x00", FaultModule, "native executable (Mach-O)"},
		"Windows executable": {"MZ\x90\x00\x03", FaultModule, "native executable (Windows)"},
		"wasmtime .cwasm":    {"\x7fELF\x02\x01\x01\xc8" + strings.Repeat("\x00", 60), FaultModule, "precompiled for wasmtime; upload the .wasm"},
		"older .cwasm":       {"\x7fELF\x02\x01\x01\x00\x00\x00.wasmtime.engine\x00", FaultModule, "precompiled for wasmtime"},
		"oldest .cwasm":      {"\x00wasmtime-aot\x05", FaultModule, "precompiled for wasmtime"},
		"wasmer":             {"\x7fELF\x02\x01\x01\x00\x00\x00WASMER_METADATA\x00", FaultModule, "precompiled for wasmer"},
		"wasmer universal":   {"\x00wasmer-universal", FaultModule, "precompiled for wasmer"},
		"wamr":               {"\x00aot\x03\x00\x00\x00", FaultModule, "precompiled for wamr"},
		"component":          {"\x00asm\x0d\x00\x01\x00\x00", FaultModule, "this is a WebAssembly component"},
		"version 2":          {"\x00asm\x02\x00\x00\x00", FaultModule, "WebAssembly version 2"},
		"only the magic":     {"\x00asm\x01", FaultModule, "ends after 5 bytes"},
		"WebAssembly text":   {"(module\n  (func))", FaultModule, "WebAssembly text; assemble it"},
		"Python":             {"# -*- coding\ndef main(args):", FaultModule, `this is text ("# -*- coding")`},
		"long line":          {strings.Repeat("ünïcode ", 99), FaultModule, "…\")"},
		"bytes":              {"\x01\x02\x03\xff\xfe", FaultModule, "it begins with 01 02 03 ff fe"},
		"empty in gzip":      {string(gzipOf(t, nil)), FaultModule, "the module is empty"},
		"zip in gzip":        {string(gzipOf(t, zipOf(t, file{name: "a", content: "b"}))), FaultArchive, "archive within an archive"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Intake([]byte(tt.code), Limits{})
			requireRefusal(t, err, tt.fault, tt.say)
			_, err = Intake(zipOf(t, file{name: "action.wasm", content: tt.code}), Limits{})
			if name != "empty in gzip" {
				requireRefusal(t, err, cmpFault(tt.code, tt.fault), `entry "action.wasm": `)
			}
		})
	}
}

// cmpFault is the fault of code within an archive.
func cmpFault(code string, alone Fault) Fault {
	if isArchive([]byte(code)) {
		return FaultArchive
	}
	return alone
}

func TestIntakeRefusesArchives(t *testing.T) {
	t.Parallel()
	mod := module(500)
	good := file{name: "action.wasm", content: mod}
	tests := map[string]struct {
		files []file
		fault Fault
		say   string
	}{
		"empty":                  {nil, FaultArchive, "the archive is empty"},
		"only directories":       {[]file{{name: "d/", mode: fs.ModeDir}}, FaultArchive, "the archive is empty"},
		"parent directory":       {[]file{good, {name: "../../x", content: "x"}}, FaultArchive, `"../../x", which leads out of it`},
		"parent further on":      {[]file{good, {name: "a/../../x", content: "x"}}, FaultArchive, "leads out"},
		"absolute":               {[]file{good, {name: "/etc/passwd", content: "x"}}, FaultArchive, "leads out"},
		"backslash":              {[]file{good, {name: `..\x`, content: "x"}}, FaultArchive, "leads out"},
		"drive letter":           {[]file{good, {name: "C:x", content: "x"}}, FaultArchive, "leads out"},
		"link":                   {[]file{good, {name: "l", content: "/etc", mode: fs.ModeSymlink}}, FaultArchive, `entry "l" is a link or device`},
		"module is a link":       {[]file{{name: "action.wasm", content: "/etc/passwd", mode: fs.ModeSymlink}}, FaultArchive, "is a link"},
		"device":                 {[]file{good, {name: "dev", mode: fs.ModeDevice | fs.ModeCharDevice}}, FaultArchive, "is a link or device"},
		"two of one name":        {[]file{good, good}, FaultArchive, `two entries "action.wasm"`},
		"two of one clean name":  {[]file{good, {name: "./action.wasm", content: mod}}, FaultArchive, `two entries "action.wasm"`},
		"several modules":        {[]file{{name: "a.wasm", content: mod}, {name: "b.wasm", content: mod}}, FaultArchive, `several modules ("a.wasm", "b.wasm"); name the one to run action.wasm`},
		"no module":              {[]file{{name: "index.js", content: "x"}, {name: "package.json", content: "{}"}}, FaultArchive, `no WebAssembly module ("index.js", "package.json")`},
		"script as exec":         {[]file{{name: "lib.sh", content: "x"}, {name: "exec", content: "#!/bin/sh\n"}}, FaultModule, `entry "exec": this is a script (#!/bin/sh)`},
		"executable as exec":     {[]file{{name: "exec", content: "\x7fELF\x02\x01\x01\x00\x00"}}, FaultModule, `entry "exec": this is a native executable`},
		"jar":                    {[]file{{name: "META-INF/MANIFEST.MF", content: "x"}, {name: "Main.class", content: "\xca\xfe\xba\xbe"}}, FaultModule, "this is a Java archive"},
		"wow: native, by magic":  {[]file{{name: "content", content: "\x00aot\x01\x00\x00\x00", store: true}}, FaultModule, "precompiled for wamr"},
		"wow: native, by name":   {[]file{{name: "add.wasmer", content: "\x80\x00"}, {name: "x", content: "\x80"}}, FaultModule, "precompiled for another engine"},
		"wow: native, unknown":   {[]file{{name: "content", content: "\x80\x81\x82"}}, FaultModule, "if it was precompiled, upload the .wasm"},
		"zip in it":              {[]file{{name: "action.wasm", content: "PK\x03\x04"}}, FaultArchive, "archive within an archive"},
		"manifest: not JSON":     {[]file{good, {name: "manifest.json", content: "{"}}, FaultManifest, "manifest.json: must be a JSON object"},
		"manifest: abi":          {[]file{good, {name: "manifest.json", content: `{"abi":"x"}`}}, FaultManifest, `field "abi": no contract "x"`},
		"manifest: out of bound": {[]file{good, {name: "manifest.json", content: strings.Repeat(" ", 5000)}}, FaultSize, `entry "manifest.json": the content of 5000 bytes exceeds the limit of 4096 bytes`},
	}
	for name, tt := range tests {
		for packing, pack := range map[string]func(testing.TB, ...file) []byte{"zip": zipOf, "tar": tarOf} {
			if packing == "tar" && len(tt.files) == 0 {
				continue // only zeros, which are nothing in particular
			}
			t.Run(packing+"/"+name, func(t *testing.T) {
				t.Parallel()
				_, err := Intake(pack(t, tt.files...), Limits{})
				requireRefusal(t, err, tt.fault, tt.say)
			})
		}
	}
}

func TestIntakeBounds(t *testing.T) {
	t.Parallel()
	mod := module(10 << 10)
	zeros := moduleHeader + strings.Repeat("\x00", 8<<20)
	many := make([]file, 20)
	for i := range many {
		many[i] = file{name: strings.Repeat("x", i+1), content: mod}
	}
	tests := map[string]struct {
		code   []byte
		limits Limits
		say    string
	}{
		"code":                  {[]byte(mod), Limits{CodeBytes: 100}, "exceeds the limit of 100 bytes"},
		"raw module":            {[]byte(mod), Limits{BinaryBytes: 100}, "exceeds the limit of 100 bytes"},
		"module in zip":         {zipOf(t, file{name: "a.wasm", content: mod}), Limits{BinaryBytes: 100}, "exceeds the limit of 100 bytes"},
		"stored module in zip":  {zipOf(t, file{name: "a.wasm", content: mod, store: true}), Limits{BinaryBytes: 100}, "exceeds the limit of 100 bytes"},
		"module in tar":         {tarOf(t, file{name: "a.wasm", content: mod}), Limits{BinaryBytes: 100}, "exceeds the limit of 100 bytes"},
		"module in gzip":        {gzipOf(t, []byte(mod)), Limits{BinaryBytes: 100}, "more than 100 bytes"},
		"all of a zip":          {zipOf(t, many...), Limits{TotalBytes: 100 << 10}, "unpacks to more than the limit"},
		"all of a tar":          {tarOf(t, many...), Limits{TotalBytes: 100 << 10}, "unpacks to more than the limit"},
		"all of a tar.gz":       {gzipOf(t, tarOf(t, many...)), Limits{TotalBytes: 100 << 10}, "unpacks to more than"},
		"entries of a zip":      {zipOf(t, many...), Limits{Entries: 15}, "more than 15 entries"},
		"many entries of a zip": {zipOf(t, many...), Limits{Entries: 5}, "more than 5 entries"},
		"entries of a tar":      {tarOf(t, many...), Limits{Entries: 15}, "more than 15 entries"},
		"ratio of a zip entry":  {zipOf(t, file{name: "a.wasm", content: zeros}), Limits{}, "most allowed for its packed size"},
		"ratio of a gzip":       {gzipOf(t, []byte(zeros)), Limits{}, "most allowed for its packed size"},
		"ratio of a tar.gz":     {gzipOf(t, tarOf(t, file{name: "a.wasm", content: zeros})), Limits{}, "most allowed for its packed size"},
		"module hidden in tar.gz": {
			gzipOf(t, tarOf(t, file{name: "x", content: zeros}, file{name: "a.wasm", content: mod})), Limits{}, "most allowed for its packed size",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Intake(tt.code, tt.limits)
			requireRefusal(t, err, FaultSize, tt.say)
		})
	}
	t.Run("base64", func(t *testing.T) {
		t.Parallel()
		_, err := IntakeBase64(strings.Repeat("A", 1000), Limits{CodeBytes: 100})
		requireRefusal(t, err, FaultSize, "the base64 text of 1000 bytes exceeds")
		_, err = IntakeBase64(strings.Repeat("A", 140), Limits{CodeBytes: 100})
		requireRefusal(t, err, FaultSize, "the code of 105 bytes exceeds the limit of 100 bytes")
	})
}

// TestModulesThatPackWell pass: a data section full of zeros is not a bomb.
func TestModulesThatPackWell(t *testing.T) {
	t.Parallel()
	mod := custom("\x01x" + strings.Repeat("\x00", 900<<10))
	requireModule(t, mod, zipOf(t, file{name: "a.wasm", content: mod}))
}

// change returns code with a change at the n-th signature, counted from 0.
func change(t *testing.T, code []byte, signature string, n, offset int, to ...byte) []byte {
	t.Helper()
	code = bytes.Clone(code)
	at := 0
	for i := 0; ; i++ {
		next := bytes.Index(code[at:], []byte(signature))
		require.GreaterOrEqual(t, next, 0, "signature %q", signature)
		at += next
		if i == n {
			break
		}
		at++
	}
	copy(code[at+offset:], to)
	return code
}

const (
	local     = "PK\x03\x04"
	central   = "PK\x01\x02"
	endRecord = "PK\x05\x06"
)

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func TestIntakeRefusesZipsThatLie(t *testing.T) {
	t.Parallel()
	mod := module(5000)
	deflated := zipOf(t, file{name: "action.wasm", content: mod})
	stored := zipOf(t, file{name: "action.wasm", content: mod, store: true})
	two := zipOf(t, file{name: "a.txt", content: mod, store: true}, file{name: "b.wasm", content: mod, store: true})
	tests := map[string]struct {
		code []byte
		say  string
	}{
		"encrypted":                 {change(t, deflated, central, 0, 8, 0x09), "is encrypted"},
		"strongly encrypted":        {change(t, deflated, central, 0, 8, 0x48), "is encrypted"},
		"unknown compression":       {change(t, deflated, central, 0, 10, 12), "compressed by method 12"},
		"larger than declared":      {change(t, deflated, central, 0, 24, le32(100)...), "corrupt"},
		"smaller than declared":     {change(t, deflated, central, 0, 24, le32(50000)...), "corrupt"},
		"stored, larger":            {change(t, stored, central, 0, 24, le32(100)...), "corrupt"},
		"wrong checksum":            {change(t, deflated, central, 0, 16, 1, 2, 3, 4), "corrupt"},
		"stored, wrong checksum":    {change(t, stored, central, 0, 16, 1, 2, 3, 4), "corrupt"},
		"flipped content":           {change(t, stored, local, 0, 300, 1, 2, 3), "corrupt"},
		"data past the end":         {change(t, deflated, central, 0, 20, le32(1<<30)...), "corrupt"},
		"no local header":           {change(t, deflated, central, 0, 42, le32(7)...), "corrupt"},
		"entry shared":              {change(t, two, central, 1, 42, le32(0)...), "overlapping entries"},
		"entry that swallows":       {change(t, two, central, 0, 20, le32(6000)...), "overlapping entries"},
		"directory cut":             {deflated[:len(deflated)-30], "corrupt"},
		"content cut":               {append(bytes.Clone(deflated[:2000]), deflated[2500:]...), "corrupt"},
		"fewer entries than stated": {change(t, deflated, endRecord, 0, 10, 9, 0), "corrupt"},
		"only the magic":            {[]byte(local), "corrupt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Intake(tt.code, Limits{})
			requireRefusal(t, err, FaultArchive, tt.say)
		})
	}
}

func TestIntakeRefusesCorruptGzip(t *testing.T) {
	t.Parallel()
	whole := gzipOf(t, []byte(module(5000)))
	packedTar := gzipOf(t, tarOf(t, file{name: "a.wasm", content: module(5000)}))
	for name, code := range map[string][]byte{
		"header":    whole[:5],
		"cut":       whole[:3000],
		"trailer":   append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]+1),
		"tar, cut":  packedTar[:3000],
		"short tar": gzipOf(t, tarOf(t, file{name: "a.wasm", content: module(5000)})[:2000]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Intake(code, Limits{})
			requireRefusal(t, err, FaultArchive, "corrupt")
		})
	}
}

// TestEveryTruncation feeds all prefixes and single-byte changes of small
// archives: each is refused or taken in, and none panics.
func TestEveryTruncation(t *testing.T) {
	t.Parallel()
	mod := module(60)
	manifest := file{name: "manifest.json", content: `{"abi":"wow"}`}
	for name, code := range map[string][]byte{
		"zip":    zipOf(t, file{name: "action.wasm", content: mod}, manifest),
		"stored": zipOf(t, file{name: "action.wasm", content: mod, store: true}, manifest),
		"tar.gz": gzipOf(t, tarOf(t, file{name: "action.wasm", content: mod}, manifest)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range code {
				requireSane(t, mod, code[:i])
				for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff} {
					changed := bytes.Clone(code)
					changed[i] = b
					requireSane(t, mod, changed)
				}
			}
		})
	}
}

func requireSane(t *testing.T, mod string, code []byte) {
	t.Helper()
	action, err := Intake(code, Limits{})
	if err == nil && crc32.ChecksumIEEE(action.Binary) != crc32.ChecksumIEEE([]byte(mod)) {
		t.Fatalf("Intake(%x) took in %x", code, action.Binary)
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want Manifest
		say  string
	}{
		"nothing":         {`{}`, Manifest{}, ""},
		"both":            {` {"abi":"actionloop","main":"run"} `, Manifest{ABI: abi.ActionLoop, Main: "run"}, ""},
		"empty":           {``, Manifest{}, "must be a JSON object"},
		"array":           {`[]`, Manifest{}, "must be a JSON object"},
		"null":            {`null`, Manifest{}, "must be a JSON object"},
		"unknown field":   {`{"Abi":"wow"}`, Manifest{}, `unknown field "Abi"`},
		"unknown abi":     {`{"abi":"x"}`, Manifest{}, `field "abi": no contract "x"; there are reactor, command`},
		"number":          {`{"main":7}`, Manifest{}, `field "main" must be a string`},
		"null field":      {`{"abi":null}`, Manifest{}, `field "abi" must be a string`},
		"twice":           {`{"main":"a","main":"b"}`, Manifest{}, `field "main" occurs twice`},
		"trailing":        {`{} {}`, Manifest{}, "something follows"},
		"not closed":      {`{"abi":"wow"`, Manifest{}, "must be a JSON object"},
		"no JSON":         {`{abi: wow}`, Manifest{}, "not JSON"},
		"control in main": {`{"main":"a\u0000"}`, Manifest{}, `field "main"`},
		"long main":       {`{"main":"` + strings.Repeat("m", 300) + `"}`, Manifest{}, `field "main"`},
		"not UTF-8":       {"{\"main\":\"\xff\"}", Manifest{}, "not UTF-8"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseManifest([]byte(tt.text))
			if tt.say != "" {
				requireRefusal(t, err, FaultManifest, tt.say)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestIntakeReadsManifest(t *testing.T) {
	t.Parallel()
	code := zipOf(t, file{name: "action.wasm", content: module(10)}, file{name: "manifest.json", content: `{"abi":"wow","main":"m"}`})
	action, err := Intake(code, Limits{})
	require.NoError(t, err)
	require.Equal(t, Manifest{ABI: abi.Wow, Main: "m"}, action.Manifest)
}

func TestPack(t *testing.T) {
	t.Parallel()
	mod, manifest := module(5000), Manifest{ABI: abi.ActionLoop, Main: "run"}
	pack := func(m Manifest) []byte {
		var buf bytes.Buffer
		require.NoError(t, Pack(&buf, []byte(mod), m))
		return buf.Bytes()
	}
	code := pack(manifest)
	require.Equal(t, code, pack(manifest), "Pack twice")
	action, err := Intake(code, Limits{})
	require.NoError(t, err)
	require.Equal(t, mod, string(action.Binary))
	require.Equal(t, manifest, action.Manifest)

	plain, err := zip.NewReader(bytes.NewReader(pack(Manifest{})), int64(len(pack(Manifest{}))))
	require.NoError(t, err)
	require.Len(t, plain.File, 1)
	require.Equal(t, "action.wasm", plain.File[0].Name)

	require.ErrorContains(t, Pack(&bytes.Buffer{}, []byte(mod), Manifest{ABI: "x"}), `field "abi"`)
}

func FuzzIntake(f *testing.F) {
	mod := module(60)
	manifest := file{name: "manifest.json", content: `{"abi":"wow"}`}
	f.Add([]byte(mod))
	f.Add(zipOf(f, file{name: "action.wasm", content: mod}, manifest))
	f.Add(zipOf(f, file{name: "content", content: mod, store: true}))
	f.Add(gzipOf(f, []byte(mod)))
	f.Add(gzipOf(f, tarOf(f, file{name: "exec", content: mod}, manifest)))
	f.Add(tarOf(f, file{name: "main.wasm", content: mod}))
	f.Add([]byte(textTrip(mod)))
	f.Add([]byte("function main() {}"))
	limits := Limits{CodeBytes: 1 << 20, BinaryBytes: 1 << 20, TotalBytes: 2 << 20, Entries: 100}
	f.Fuzz(func(t *testing.T, code []byte) {
		checkIntake(t, limits)(Intake(code, limits))
		checkIntake(t, limits)(IntakeBase64(string(code), limits))
		checkIntake(t, limits)(IntakeBase64(base64.StdEncoding.EncodeToString(code), limits))
	})
}

// checkIntake holds what Intake promises for every input.
func checkIntake(t *testing.T, limits Limits) func(Action, error) {
	return func(action Action, err error) {
		var refused *IntakeError
		switch {
		case err == nil:
			require.True(t, bytes.HasPrefix(action.Binary, []byte(moduleHeader)))
			require.LessOrEqual(t, int64(len(action.Binary)), limits.BinaryBytes)
			require.Equal(t, sha256.Sum256(action.Binary), action.Hash)
			require.NoError(t, action.Manifest.Validate())
		case !errors.Is(err, ErrNoCode):
			require.ErrorAs(t, err, &refused)
			require.Less(t, len(refused.Message), 1000)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, text := range []string{`{}`, `{"abi":"wow","main":"x"}`, `{"abi":null}`, `[1]`, `{"main":"a","main":"b"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		again, err := m.text()
		require.NoError(t, err)
		back, err := ParseManifest(again)
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}

func BenchmarkIntake(b *testing.B) {
	mod := bytes.Repeat([]byte(module(32<<10)), 96)
	mod = append([]byte(moduleHeader), mod...)
	upload := func(store bool) string {
		return base64.StdEncoding.EncodeToString(zipOf(b, file{name: "action.wasm", content: string(mod), store: store}))
	}
	for name, code := range map[string]string{
		"deflated": upload(false),
		"stored":   upload(true),
		"raw":      base64.StdEncoding.EncodeToString(mod),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(mod)))
			for b.Loop() {
				if _, err := IntakeBase64(code, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
