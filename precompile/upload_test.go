package precompile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/abi"
)

// uploadNo is the n-th of many uploads of modules large enough to be kept.
func uploadNo(t testing.TB, n byte) string {
	t.Helper()
	noise := make([]byte, SmallBinary)
	_, _ = rand.NewChaCha8([32]byte{n}).Read(noise)
	binary := append([]byte("\x00asm\x01\x00\x00\x00"), noise...)
	var zip bytes.Buffer
	require.NoError(t, Pack(&zip, binary, Manifest{ABI: abi.Reactor}))
	return base64.StdEncoding.EncodeToString(zip.Bytes())
}

// initialize does what an executor does with an upload, and gives the action
// that Intake gave.
func initialize(t testing.TB, c *Cache, code string) (Action, Origin) {
	t.Helper()
	want, err := IntakeBase64(code, Limits{})
	require.NoError(t, err)
	action, err := c.Intake(code, Limits{})
	require.NoError(t, err)
	require.Equal(t, want.Hash, action.Hash)
	require.Equal(t, want.Manifest, action.Manifest)
	m, origin, err := c.Module(t.Context(), action)
	require.NoError(t, err)
	require.Equal(t, codeOf(want.Binary), m.(fakeModule).code)
	c.Remember(action)
	return action, origin
}

func TestIntakeKnowsUploads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openCache(t, dir, newFake(), CacheConfig{})
	one, two := uploadNo(t, 1), uploadNo(t, 2)
	action, origin := initialize(t, c, one)
	require.NotNil(t, action.Binary, "never seen")
	require.Equal(t, Compiled, origin)
	for name, c := range map[string]*Cache{"the same cache": c, "another process": openCache(t, dir, newFake(), CacheConfig{})} {
		action, origin = initialize(t, c, one)
		require.Nil(t, action.Binary, name)
		require.Equal(t, Loaded, origin, name)
	}
	action, _ = initialize(t, c, two)
	require.NotNil(t, action.Binary)
}

func TestIntakeUnderOtherLimits(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	code := uploadNo(t, 1)
	initialize(t, c, code)
	_, err := c.Intake(code, Limits{BinaryBytes: 1000})
	require.Error(t, err)
}

func TestUploadWithoutArtefact(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	code := uploadNo(t, 1)
	action, err := c.Intake(code, Limits{})
	require.NoError(t, err)
	c.Remember(action)
	requireEmpty(t, c.dir)

	_, _ = initialize(t, c, code)
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, c.key(action.Hash))))
	action, err = c.Intake(code, Limits{})
	require.NoError(t, err)
	_, _, err = c.Module(t.Context(), action)
	require.ErrorIs(t, err, ErrBinaryNeeded)

	_, _, err = Uncached(newFake()).Module(t.Context(), Action{Binary: nil, Hash: action.Hash})
	require.ErrorIs(t, err, ErrBinaryNeeded)
}

// TestUploadKey has uploads known as long as the directory has its key, and new ones
// remembered if that is lost.
func TestUploadKey(t *testing.T) {
	t.Parallel()
	dir, code := t.TempDir(), uploadNo(t, 1)
	known := func() bool {
		action, _ := initialize(t, openCache(t, dir, newFake(), CacheConfig{}), code)
		return action.Binary == nil
	}
	require.False(t, known())
	require.True(t, known())
	path := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(path)
	require.NoError(t, err)
	flipped := bytes.Clone(key)
	flipped[len(flipped)/2] ^= 1
	for _, other := range [][]byte{nil, key[1:], flipped, make([]byte, len(key)), make([]byte, keyBytes)} {
		require.NoError(t, os.WriteFile(path, other, 0o600))
		require.False(t, known(), "with a key %q", other)
		require.True(t, known(), "with a new key")
	}
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.False(t, known(), "without a key")
	require.False(t, known(), "without a key")
}

// TestUploadKeyIsTriedAgain has a disk that fails once cost no more than a while.
func TestUploadKeyIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := newCache(t.TempDir(), newFake(), CacheConfig{}, &failingDisk{n: 1})
		require.NoError(t, err)
		require.Zero(t, c.identify([]byte("text"), Limits{}))
		require.Zero(t, c.identify([]byte("text"), Limits{}), "at once")
		time.Sleep(diskPause)
		require.NotZero(t, c.identify([]byte("text"), Limits{}), "later")
	})
}

func TestUploadKeyIsOneForAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	ids := make([]uploadID, 8)
	for i := range ids {
		c := openCache(t, dir, newFake(), CacheConfig{})
		all.Go(func() { ids[i] = c.identify([]byte("text"), Limits{}) })
	}
	all.Wait()
	require.Len(t, slices.Compact(ids), 1)
	require.NotZero(t, ids[0])
	require.NotEqual(t, ids[0], openCache(t, t.TempDir(), newFake(), CacheConfig{}).identify([]byte("text"), Limits{}), "of another directory")
}

func TestDamagedUpload(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	code := uploadNo(t, 1)
	initialize(t, c, code)
	path := c.uploadPath(c.identify([]byte(code), Limits{}.withDefaults()))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		action, err := c.Intake(code, Limits{})
		require.NoError(t, err)
		require.NotNil(t, action.Binary, "byte %d of %q", i, whole)
	}
	_, _ = initialize(t, c, code)
	action, _ := initialize(t, c, code)
	require.Nil(t, action.Binary, "after it was remembered again")
}

func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	c.maxUploads = 3
	action, err := c.Intake(uploadNo(t, 0), Limits{})
	require.NoError(t, err)
	_, _, err = c.Module(t.Context(), action)
	require.NoError(t, err)
	for n := range 3 * scanEvery { // of one module
		action.upload = sha256.Sum256([]byte{byte(n)})
		c.Remember(action)
	}
	entries, err := os.ReadDir(c.dir)
	require.NoError(t, err)
	require.Less(t, len(entries), 2*scanEvery)
}

func TestSmallUploadsAreNotRemembered(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	small := append([]byte("\x00asm\x01\x00\x00\x00"), make([]byte, smallUpload)...)
	code := base64.StdEncoding.EncodeToString(small)
	for range 2 {
		action, _ := initialize(t, c, code)
		require.NotNil(t, action.Binary)
	}
	requireEmpty(t, c.dir)
}
