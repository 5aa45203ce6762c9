package precompile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"wasmwhisk/engine"
)

// An artefact is a directory with the engine's files below code/ and, beside
// them, our header: what the files are, and for which key.
const (
	codeDir    = "code"
	headerFile = "header"
)

// header describes a complete artefact. On disk its SHA-256 stands before it.
type header struct {
	Key    string     `json:"key"`
	Engine string     `json:"engine"`         // its fingerprint, for whoever looks
	Hash   string     `json:"hash,omitempty"` // of the binary; empty for what is derived
	Files  []fileInfo `json:"files"`
}

// fileInfo tells one file from every damaged form of it.
type fileInfo struct {
	Path   string `json:"path"` // below the artefact, with slashes
	Size   int64  `json:"size"`
	Digest string `json:"digest"`
}

// headerBytes bounds a header; an engine's artefact is a handful of files.
const headerBytes = 1 << 20

var (
	errForeign = errors.New("header of another artefact")
	errInUse   = errors.New("artefact is in use")
	errGone    = errors.New("artefact is gone")
)

func (h header) encode() ([]byte, error) { return seal(h) }

func decodeHeader(text []byte) (h header, err error) {
	if err := unseal(text, &h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// seal writes a value as JSON, after its SHA-256.
func seal(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return slices.Concat([]byte(hex.EncodeToString(sum[:])), []byte("\n"), text), nil
}

func unseal(text []byte, value any) error {
	sum, text, _ := bytes.Cut(text, []byte("\n"))
	if want := sha256.Sum256(text); string(sum) != hex.EncodeToString(want[:]) {
		return errors.New("text does not match its digest")
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// artefact is one that is open: whoever evicts leaves it alone until close.
type artefact struct {
	path string
	info fs.FileInfo
	lock *os.File
}

// openArtefact opens and locks an artefact. The error is [fs.ErrNotExist],
// errInUse, errGone, or else says what is wrong with it. Unless there is
// nothing at all, the artefact is not nil and must be closed.
func openArtefact(path string, how int) (*artefact, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	a := &artefact{path: path, info: info}
	if !info.IsDir() {
		return a, fmt.Errorf("not a directory but %v", info.Mode())
	}
	if err := checkPrivate(info); err != nil {
		return a, err
	}
	return a, a.acquire(how)
}

// acquire opens and locks what the name leads to now. From then on that is what
// the artefact is: what was there before may be gone, and its inode in use again.
func (a *artefact) acquire(how int) error {
	lock, err := os.OpenFile(a.path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return err
	}
	a.lock = lock
	if a.info, err = lock.Stat(); err != nil {
		return err
	}
	if taken(lock, how) {
		return errInUse
	}
	if !a.inPlace() {
		return errGone
	}
	return nil
}

// taken tells whether others have locked an open file or directory, or else locks it.
// A file system without locks answers otherwise than that it is taken; there, an
// eviction at the wrong moment costs a compilation.
func taken(f *os.File, how int) bool {
	return errors.Is(syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// inPlace tells whether the artefact's name still leads to it.
func (a *artefact) inPlace() bool {
	info, err := os.Lstat(a.path)
	return err == nil && os.SameFile(info, a.info)
}

// id tells an artefact from all others that there are at the time.
func (a *artefact) id() string {
	return strconv.FormatUint(a.info.Sys().(*syscall.Stat_t).Ino, 10)
}

func (a *artefact) close() {
	if a.lock != nil {
		_ = a.lock.Close()
	}
}

func (a *artefact) code() string { return filepath.Join(a.path, codeDir) }

// verify compares the artefact with its header, and that with the key. It gives the files
// whose content is to be checked beside loading. It goes by the artefact's name, which
// must lead to what is locked until the end: somebody who found the artefact damaged may
// have removed it, and another have taken its place.
func (a *artefact) verify(key string, when checking) (beside []fileInfo, err error) {
	h, err := a.header(key)
	if err == nil {
		err = a.checkContent(h.of(when, engine.CheckFirst))
	}
	if !a.inPlace() {
		return nil, errGone
	}
	return h.of(when, engine.CheckBeside), err
}

// header is that of the key, with just the files that there are.
func (a *artefact) header(key string) (h header, err error) {
	text, err := readHeader(filepath.Join(a.path, headerFile))
	if err != nil {
		return h, err
	}
	if h, err = decodeHeader(text); err != nil {
		return h, err
	}
	if h.Key != key {
		return h, errForeign
	}
	files, err := listFiles(a.path)
	if err != nil {
		return h, err
	}
	return h, compareSizes(files, h.Files)
}

// checkContent compares files with their digests.
func (a *artefact) checkContent(files []fileInfo) error {
	for _, f := range files {
		digest, err := digestFile(a.path, f)
		if err != nil {
			return err
		}
		if digest != f.Digest {
			return fmt.Errorf("file %q is not what was written", f.Path)
		}
	}
	return nil
}

func readHeader(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, headerBytes))
}

func compareSizes(got, want []fileInfo) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want) || i < len(got) && got[i].Path < want[i].Path:
			return fmt.Errorf("file %q is too many", got[i].Path)
		case i >= len(got) || got[i].Path > want[i].Path:
			return fmt.Errorf("file %q is missing", want[i].Path)
		case got[i].Size != want[i].Size:
			return fmt.Errorf("file %q has %d bytes, not %d", got[i].Path, got[i].Size, want[i].Size)
		}
	}
	return nil
}

// checking tells when the engine that loads an artefact has its files checked.
type checking func(file string) engine.Check

// checkFirst is of an engine elsewhere.
func checkFirst(string) engine.Check { return engine.CheckFirst }

// of gives the files that are checked at a time.
func (h header) of(when checking, at engine.Check) (files []fileInfo) {
	for _, f := range h.Files {
		file, ok := strings.CutPrefix(f.Path, codeDir+"/")
		if ok && when(file) == at || !ok && at == engine.CheckFirst {
			files = append(files, f)
		}
	}
	return files
}

// describe lists the files of an artefact with their digests.
func describe(root string) ([]fileInfo, error) {
	files, err := listFiles(root)
	for i := range files {
		if err == nil {
			files[i].Digest, err = digestFile(root, files[i])
		}
	}
	return files, err
}

// listFiles gives the files of an artefact but for its header, by path.
func listFiles(root string) ([]fileInfo, error) {
	var files []fileInfo
	err := eachFile(root, func(path string, info fs.FileInfo) error {
		if path != headerFile {
			files = append(files, fileInfo{Path: filepath.ToSlash(path), Size: info.Size()})
		}
		return nil
	})
	slices.SortFunc(files, func(a, b fileInfo) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// eachFile visits the files of an artefact. It refuses whatever an engine and
// we do not write, and what others could have written.
func eachFile(root string, visit func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, err = filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if err := checkPrivate(info); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		if d.IsDir() {
			return nil
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%q is not a file but %v", path, info.Mode())
		}
		return visit(path, info)
	})
}

// smallFile is up to where reading a file costs less than mapping it.
const smallFile = 64 << 10

// digestFile takes the checksums of both halves, side by side. They are there against
// damage; against others there is the directory's mode. SHA-256 would take longer than
// wazero takes to load the file.
func digestFile(root string, f fileInfo) (string, error) {
	path := filepath.Join(root, filepath.FromSlash(f.Path))
	if f.Size <= smallFile {
		content, err := os.ReadFile(path)
		half := len(content) / 2
		return digest(crc32.ChecksumIEEE(content[:half]), crc32.ChecksumIEEE(content[half:])), err
	}
	content, err := mapFile(path)
	if err != nil {
		return "", err
	}
	defer unmapFile(content)
	var first, second uint32
	var unread error
	var other sync.WaitGroup
	half := len(content) / 2
	other.Go(func() { first, unread = checksum(content[:half]) })
	second, err = checksum(content[half:])
	other.Wait()
	return digest(first, second), errors.Join(unread, err)
}

func digest(first, second uint32) string { return fmt.Sprintf("%08x%08x", first, second) }

// mapFile saves the copy that reading makes, which takes as long as a checksum.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 { // which cannot be mapped
		return nil, err
	}
	content, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE|mapWhole)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return content, nil
}

func unmapFile(content []byte) {
	if content != nil {
		_ = syscall.Munmap(content)
	}
}

// checksum has a file that was cut off meanwhile, or that the disk does not give,
// end in an error rather than end the process.
func checksum(content []byte) (sum uint32, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read mapped file: %v", p)
		}
	}()
	return crc32.ChecksumIEEE(content), nil
}

// tighten takes from others what the process's umask may have given them of an
// artefact that an engine has just written.
func tighten(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return root.Chmod(path, 0o700)
		case d.Type().IsRegular():
			return root.Chmod(path, 0o600)
		}
		return fmt.Errorf("engine wrote %q, which is no file", path)
	})
}

// diskSize is how much an artefact's files hold, whatever its state.
func diskSize(root string) int64 {
	var size int64
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, unread error) error {
		if unread == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
