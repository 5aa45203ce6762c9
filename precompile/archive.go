package precompile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"wasmwhisk/engine"
)

// entry is one regular file of an archive.
type entry struct {
	name   string // clean, relative, with slashes
	size   int64  // unpacked, as declared
	packed int64
	open   func() (io.ReadCloser, error)
	// stored gives the content without a copy if it stands in the upload as it
	// is; else it is nil.
	stored func() ([]byte, error)
}

// archive is the list of an archive's files as it grows.
type archive struct {
	limits  Limits
	entries []entry
	seen    map[string]bool
	count   int
	total   int64
}

func newArchive(limits Limits) *archive {
	return &archive{limits: limits, seen: map[string]bool{}}
}

// admit checks an entry's name and counts it. Nothing is ever unpacked to a
// disk; a name that would lead astray there still tells of an archive that means
// harm.
func (a *archive) admit(raw string) (clean string, err error) {
	if a.count++; a.count > a.limits.Entries {
		return "", refuse(FaultSize, "the archive has more than %d entries", a.limits.Entries)
	}
	if unsafeName(raw) {
		return "", refuse(FaultArchive, "the archive has an entry %q, which leads out of it", shorten(raw))
	}
	clean = path.Clean(raw)
	if clean != "." && a.seen[clean] {
		return "", refuse(FaultArchive, "the archive has two entries %q", shorten(clean))
	}
	a.seen[clean] = true
	return clean, nil
}

var driveLetter = regexp.MustCompile(`^[A-Za-z]:`)

func unsafeName(name string) bool {
	return name == "" || strings.ContainsAny(name, "\\\x00") ||
		path.IsAbs(name) || driveLetter.MatchString(name) ||
		slices.Contains(strings.Split(name, "/"), "..")
}

func (a *archive) add(e entry) error {
	if e.size < 0 || e.size > a.limits.TotalBytes-a.total {
		return refuse(FaultSize, "the archive unpacks to more than the limit of %d bytes", a.limits.TotalBytes)
	}
	a.total += e.size
	a.entries = append(a.entries, e)
	return nil
}

// previewBytes is the size from which on a preview is worth a goroutine.
const previewBytes = 256 << 10

// action reads the module and the manifest out of a complete list.
func (a *archive) action(preview engine.Preview) (Action, error) {
	chosen, err := a.choose()
	if err != nil {
		return Action{}, err
	}
	if chosen.size < previewBytes {
		preview = nil
	}
	binary, err := a.read(chosen, a.limits.BinaryBytes, preview)
	if err != nil {
		return Action{}, err
	}
	if err := checkModule(binary.bytes); err != nil {
		return Action{}, within(chosen, err)
	}
	manifest, err := a.manifest()
	return Action{Binary: binary.bytes, Hash: binary.hash, Manifest: manifest, preview: preview}, err
}

func within(e entry, err error) error {
	if refused, ok := errors.AsType[*IntakeError](err); ok {
		return refuse(refused.Fault, "entry %q: %s", shorten(e.name), refused.Message)
	}
	return err
}

const manifestName = "manifest.json"

func (a *archive) manifest() (Manifest, error) {
	e, ok := a.find(manifestName)
	if !ok {
		return Manifest{}, nil
	}
	text, err := a.read(e, manifestBytes, nil)
	if err != nil {
		return Manifest{}, err
	}
	return ParseManifest(text.bytes)
}

// choose finds the module's entry among the layouts in use: ours, those of the
// OpenWhisk runtimes ("exec"), and that of wow, whose first entry counts
// whatever its name.
func (a *archive) choose() (entry, error) {
	if e, ok := a.find(entryName); ok {
		return e, nil
	}
	files := slices.DeleteFunc(slices.Clone(a.entries), beside)
	if e, ok := a.conventional(files); ok {
		return e, nil
	}
	modules := slices.DeleteFunc(slices.Clone(files), func(e entry) bool { return !hasSuffix(e.name, ".wasm") })
	switch {
	case len(modules) == 1:
		return modules[0], nil
	case len(modules) > 1:
		return entry{}, refuse(FaultArchive, "the archive holds several modules (%s); name the one to run %s", list(modules), entryName)
	case len(files) == 0:
		return entry{}, refuse(FaultArchive, "the archive is empty; put the module in it as %s", entryName)
	case len(files) == 1 || a.holdsModule(files[0]):
		return files[0], nil
	}
	return entry{}, a.noModule(files)
}

// beside tells whether an entry is no candidate: it describes others.
func beside(e entry) bool {
	return e.name == manifestName || strings.HasPrefix(e.name, "__MACOSX/")
}

func (a *archive) conventional(files []entry) (entry, bool) {
	for _, e := range files {
		if (e.name == "main.wasm" || e.name == "exec") && a.holdsModule(e) {
			return e, true
		}
	}
	return entry{}, false
}

// noModule says what the archive seems to be instead.
func (a *archive) noModule(files []entry) error {
	for _, e := range files {
		switch {
		case e.name == "META-INF/MANIFEST.MF":
			return refuse(FaultModule, "this is a Java archive; %s", onlyWasm)
		case hasSuffix(e.name, ".cwasm"), hasSuffix(e.name, ".wasmer"), hasSuffix(e.name, ".wamr"), hasSuffix(e.name, ".aot"):
			return refuse(FaultModule, "entry %q: "+precompiled, shorten(e.name), "another engine")
		case e.name == "exec":
			return within(e, checkModule(a.peek(e)))
		}
	}
	return refuse(FaultArchive, "the archive holds no WebAssembly module (%s); put it in as %s", list(files), entryName)
}

func (a *archive) find(name string) (entry, bool) {
	i := slices.IndexFunc(a.entries, func(e entry) bool { return e.name == name })
	if i < 0 {
		return entry{}, false
	}
	return a.entries[i], true
}

func (a *archive) holdsModule(e entry) bool { return isModule(a.peek(e)) }

// peek is the start of an entry, or what could be read of it.
func (a *archive) peek(e entry) []byte {
	r, err := e.open()
	if err != nil {
		return nil
	}
	defer r.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(r, head)
	return head[:n]
}

// read unpacks an entry, of which it believes nothing but the content.
func (a *archive) read(e entry, limit int64, preview engine.Preview) (content, error) {
	if e.size > limit {
		return content{}, within(e, tooLarge("the content", e.size, limit))
	}
	c, err := e.content(min(limit, a.limits.unpacked(e.packed)), preview)
	if err != nil {
		return content{}, within(e, corrupt(err))
	}
	return c, nil
}

func (e entry) content(limit int64, preview engine.Preview) (content, error) {
	if e.stored != nil {
		bytes, err := e.stored()
		return contentOf(bytes), err
	}
	r, err := e.open()
	if err != nil {
		return content{}, err
	}
	defer r.Close()
	return readBounded(r, e.size, limit, preview)
}

// unpacked is how much may come out of so many packed bytes.
func (l Limits) unpacked(packed int64) int64 { return l.Ratio*packed + 1<<20 }

// content is what was unpacked, and its SHA-256.
type content struct {
	bytes []byte
	hash  [sha256.Size]byte
}

func contentOf(bytes []byte) content { return content{bytes, sha256.Sum256(bytes)} }

// readBounded reads all of r, and has what has come hashed and looked at while it
// reads on.
func readBounded(r io.Reader, declared, limit int64, preview engine.Preview) (c content, err error) {
	h := newHasher()
	defer func() { c.hash = h.sum() }()
	show := h.show
	if preview != nil {
		defer preview.End()
		show = func(arrived []byte) {
			h.show(arrived)
			preview.Show(arrived)
		}
	}
	c.bytes, err = readAll(r, declared, limit, show)
	return c, err
}

// readAll makes room for what is declared if that is within the limit. It shows what
// has come, which stays as it is.
func readAll(r io.Reader, declared, limit int64, show func(arrived []byte)) ([]byte, error) {
	// One byte more sees the end without growing.
	buf := make([]byte, 0, min(declared, limit)+1)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		show(buf)
		switch {
		case int64(len(buf)) > limit:
			return nil, bomb(limit)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) == cap(buf):
			buf = slices.Grow(buf, len(buf))
		}
	}
}

func bomb(limit int64) error {
	return refuse(FaultSize, "the content unpacks to more than %d bytes, the most allowed for its packed size", limit)
}

// corrupt blames the archive for err, unless err knows better.
func corrupt(err error) error {
	if refused, ok := errors.AsType[*IntakeError](err); ok {
		return refused
	}
	return refuse(FaultArchive, "the archive is corrupt: %v", err)
}

func hasSuffix(name, suffix string) bool {
	return strings.HasSuffix(strings.ToLower(name), suffix)
}

func list(entries []entry) string {
	var names []string
	for _, e := range entries[:min(len(entries), 3)] {
		names = append(names, fmt.Sprintf("%q", shorten(e.name)))
	}
	if len(entries) > 3 {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// shorten keeps names out of a message that would drown it.
func shorten(name string) string {
	if len(name) <= 80 {
		return name
	}
	return name[:80] + "…"
}
