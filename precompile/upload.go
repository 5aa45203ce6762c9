package precompile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"
)

const (
	uploadPrefix = "upload-"
	// uploadForm changes when [Intake] finds something else in the same bytes.
	uploadForm = 3
	// smallUpload is the size below which unpacking costs less than looking.
	smallUpload = 4 << 10
	// maxUploads bounds how many uploads are remembered, at 4 KiB of disk each.
	maxUploads = 1 << 14
)

// ErrBinaryNeeded tells that a module must be compiled, and of what.
var ErrBinaryNeeded = errors.New("no artefact, and no binary to compile")

// remembered is what there is to know of an upload that was seen before.
type remembered struct {
	Hash     [sha256.Size]byte `json:"hash"`
	Manifest Manifest          `json:"manifest"`
}

// Intake is [IntakeBase64], except that for an upload seen before it decodes
// nothing: the action has no binary then. [Cache.Module] needs none as long as
// there is an artefact; where it answers [ErrBinaryNeeded], IntakeBase64 helps.
func (c *Cache) Intake(code string, limits Limits) (Action, error) {
	if c.precompiler == nil || len(code) < smallUpload {
		return IntakeBase64(code, limits)
	}
	text := unsafe.Slice(unsafe.StringData(code), len(code)) //nolint:gosec // nothing writes there
	id := c.identify(text, limits.withDefaults())
	if r, err := c.recall(id); err == nil {
		c.began(text, r.Hash)
		c.used(filepath.Join(c.dir, c.key(r.Hash)))
		return Action{Hash: r.Hash, Manifest: r.Manifest, upload: id}, nil
	}
	action, err := intakeBase64(code, limits, c.interpreter.preview())
	if err == nil && len(action.Binary) >= c.smallBinary {
		c.began(text, action.Hash)
		action.upload = id
	}
	return action, err
}

// Remember has Intake know the upload of an action that it gave, and should be
// called once the action's module is there. It does nothing for one that is
// known or has no artefact.
func (c *Cache) Remember(action Action) {
	if action.upload == (uploadID{}) || action.Binary == nil || c.paused() {
		return
	}
	key := c.key(action.Hash)
	action.preview = nil // has been used if it was needed
	if c.await(key, action) {
		return
	}
	if _, err := os.Lstat(filepath.Join(c.dir, key)); err != nil {
		return
	}
	text, err := seal(remembered{Hash: action.Hash, Manifest: action.Manifest})
	if err == nil {
		err = c.keepUpload(action.upload, text)
	}
	if err != nil {
		c.failed("remember upload", err)
		return
	}
	c.grew(int64(len(text)))
}

// expectUpload has Remember wait for the artefact of a key.
func (c *Cache) expectUpload(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaited[key] = Action{}
}

// await tells whether an action's artefact is being made. The action is
// remembered when it is there.
func (c *Cache) await(key string, action Action) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.awaited[key]
	if ok {
		c.awaited[key] = action
	}
	return ok
}

// rememberLate remembers the action that waited for the artefact of a key.
func (c *Cache) rememberLate(key string) {
	c.mu.Lock()
	action := c.awaited[key]
	delete(c.awaited, key)
	c.mu.Unlock()
	c.Remember(action)
}

// forgetAwaited remembers no action for the artefact of a key, which nobody makes any
// more.
func (c *Cache) forgetAwaited(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.awaited, key)
}

func (c *Cache) keepUpload(id uploadID, text []byte) error {
	temp := c.tempName()
	if err := c.disk.writeFile(temp, text); err != nil {
		return errors.Join(err, c.disk.removeAll(temp))
	}
	if err := c.disk.rename(temp, c.uploadPath(id)); err != nil {
		return errors.Join(err, c.disk.removeAll(temp))
	}
	return nil
}

// recall trusts what it reads as far as the directory is ours alone, but not to
// have survived a crash.
func (c *Cache) recall(id uploadID) (r remembered, err error) {
	if id == (uploadID{}) {
		return r, fs.ErrNotExist
	}
	text, err := readHeader(c.uploadPath(id))
	if err != nil {
		return r, err
	}
	return r, unseal(text, &r)
}

func (c *Cache) uploadPath(id uploadID) string {
	return filepath.Join(c.dir, uploadPrefix+hex.EncodeToString(id[:]))
}

// forgetUploads removes the oldest of too many.
func (c *Cache) forgetUploads() {
	type upload struct {
		path string
		seen time.Time
	}
	entries, _ := os.ReadDir(c.dir)
	var all []upload
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), uploadPrefix) {
			all = append(all, upload{filepath.Join(c.dir, e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b upload) int { return a.seen.Compare(b.seen) })
	for _, u := range all[:max(len(all)-c.maxUploads, 0)] {
		if err := c.disk.removeAll(u.path); err != nil {
			c.failed("forget upload", err)
		}
	}
}
