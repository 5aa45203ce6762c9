package precompile

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// uploadID is of an upload and of the limits that it was taken in under. Its zero value
// means that the upload is none to remember.
type uploadID [sha256.Size]byte

// identify tells an upload from all others by its GMAC, which takes a seventh of a SHA-256's
// time. Whoever does not know the key finds no two texts with one tag, and neither key
// nor tags leave the cache.
func (c *Cache) identify(text []byte, limits Limits) uploadID {
	tag, err := c.tag(text)
	if err != nil {
		return uploadID{}
	}
	return sha256.Sum256(fmt.Appendf(nil, "%d %+v %x", uploadForm, limits, tag))
}

// tag is the GMAC of a text.
func (c *Cache) tag(text []byte) (tag [tagBytes]byte, err error) {
	tagger, err := c.openTagger()
	if err == nil {
		tagger.Seal(tag[:0], make([]byte, tagger.NonceSize()), nil, text) //nolint:gosec // one nonce, for nothing is encrypted
	}
	return tag, err
}

const (
	tagBytes = 16
	keyFile  = "key"
	keyBytes = 32
)

var errDiskFailed = errors.New("the disk failed a moment ago")

// openTagger gives what makes tags, under the key that the cache's directory has.
func (c *Cache) openTagger() (cipher.AEAD, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.tagger != nil {
		return c.tagger, nil
	}
	if c.paused() {
		return nil, errDiskFailed
	}
	key, err := c.uploadKey(filepath.Join(c.dir, keyFile))
	if err != nil {
		c.failed("open key of uploads", err)
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err == nil {
		c.tagger, err = cipher.NewGCM(block)
	}
	return c.tagger, err
}

// uploadKey reads the key, and makes one if there is none that is whole.
func (c *Cache) uploadKey(path string) ([]byte, error) {
	key, err := readKey(path)
	if errors.Is(err, errNoKey) {
		err = cmp.Or(c.disk.removeAll(path), fs.ErrNotExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := c.makeKey(path); err != nil {
		return nil, err
	}
	return readKey(path)
}

var errNoKey = errors.New("damaged key")

func readKey(path string) (key []byte, err error) {
	text, err := readHeader(path)
	if err != nil {
		return nil, err
	}
	if unseal(text, &key) != nil || len(key) != keyBytes {
		return nil, errNoKey
	}
	return key, nil
}

// makeKey has processes that find none at the same time agree on one key.
func (c *Cache) makeKey(path string) error {
	key, temp := make([]byte, keyBytes), c.tempName()
	_, _ = rand.Read(key) // never fails
	text, err := seal(key)
	if err != nil {
		return err
	}
	defer func() { _ = c.disk.removeAll(temp) }()
	if err := c.disk.writeFile(temp, text); err != nil {
		return err
	}
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
