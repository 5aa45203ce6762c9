package precompile

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"wasmwhisk/engine"
)

// Origin says where a module came from.
type Origin string

// The origins of modules.
const (
	Compiled Origin = "compiled"
	Loaded   Origin = "loaded" // from the cache

	// Interpreted modules stand in for themselves compiled, see [engine.Provisional].
	Interpreted Origin = "interpreted"
)

// DefaultCacheBytes bounds a cache where the configuration says nothing: 340
// artefacts of Go actions on wazero.
const DefaultCacheBytes = 4 << 30

// SmallBinary is the size from which on binaries are kept on disk. About there,
// on wazero, the first load saves what writing cost: 13 KB of code compile in
// 6 ms and load in 1, and writing them, which wazero does with a sync, adds 5.
const SmallBinary = 16 << 10

const (
	tempPrefix = "tmp-"
	// tempAge is the age at which a temporary directory must be a leftover:
	// no compilation takes that long.
	tempAge = time.Hour
	// diskPause is how long nothing is written after the disk refused.
	diskPause = time.Minute
	// scanEvery bounds how many artefacts this process writes before it takes
	// notice of those that others wrote.
	scanEvery = 64
)

// CacheConfig configures a [Cache]. Its zero value is useful.
type CacheConfig struct {
	// MaxBytes bounds the artefacts on disk; 0 means [DefaultCacheBytes]. They
	// pass it while one is being written.
	MaxBytes int64

	// Interpreter runs binaries for the time that compiling them takes: Module
	// gives an [engine.Provisional] module of what would have to be compiled in a
	// process of its own. It is the engine of the precompiler. Nil has all callers
	// wait for the compiler.
	Interpreter engine.Interpreter

	// KeepSmall keeps artefacts of binaries below [SmallBinary], too: where
	// compiling the least of them takes a process.
	KeepSmall bool

	// Logger takes warnings about artefacts that were damaged and disks that
	// fail; nil discards them.
	Logger *slog.Logger
}

// CacheStats counts what a cache did since it was made.
type CacheStats struct {
	Loaded      uint64 // modules that came from the disk
	Compiled    uint64 // modules that did not
	Interpreted uint64 // modules that stood in for others while those were compiled
	Stored      uint64 // artefacts of modules written
	Derived     uint64 // and what was made of modules, see [Derived]
	Evicted     uint64 // artefacts removed to make room
	Dropped     uint64 // artefacts removed because something was wrong with them
	Failures    uint64 // times that the disk failed us
}

// Cache keeps compiled modules in a directory. It is safe for concurrent use,
// also by several processes that share the directory.
//
// An artefact is written beside its place and renamed into it, so it is there
// whole or not at all; nothing is synced, since whatever a crash of the machine
// leaves of it is found out by its checksums. Every file is checked before the
// engine sees it, or by the engine ([engine.Precompiler]). Whatever goes wrong on disk, modules are compiled as if there
// were no cache.
type Cache struct {
	dir         string
	runtime     engine.WasmRuntime
	precompiler engine.Precompiler // nil: nothing is kept
	interpreter *interpreter       // nil: nothing runs before it is compiled
	fingerprint string
	maxBytes    int64
	smallBinary int
	maxUploads  int
	log         *slog.Logger
	disk        disk
	beginnings  beginnings

	opening sync.Mutex
	tagger  cipher.AEAD // of uploads, nil until it is needed

	evicting sync.Mutex // held by the one goroutine that evicts

	mu         sync.Mutex
	stats      CacheStats
	bytes      int64 // at the last scan, and written since
	sinceScan  int
	pauseUntil time.Time
	awaited    map[string]Action // uploads to remember, by the key that is being compiled
}

// NewCache returns a cache in dir, which it makes if need be, accessible to this
// user alone. It refuses a directory that another user owns or can write.
func NewCache(dir string, p engine.Precompiler, config CacheConfig) (*Cache, error) {
	return newCache(dir, p, config, osDisk{})
}

func newCache(dir string, p engine.Precompiler, config CacheConfig, d disk) (*Cache, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("make artefact cache: %w", err)
	}
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	c := &Cache{
		dir:         dir,
		runtime:     p,
		precompiler: p,
		interpreter: newInterpreter(config.Interpreter),
		fingerprint: p.Fingerprint(),
		maxBytes:    positive(config.MaxBytes, DefaultCacheBytes),
		smallBinary: SmallBinary,
		maxUploads:  maxUploads,
		log:         cmp.Or(config.Logger, slog.New(slog.DiscardHandler)),
		disk:        d,
		sinceScan:   scanEvery,
		awaited:     map[string]Action{},
	}
	if config.KeepSmall {
		c.smallBinary = 0
	}
	return c, c.removeLeftovers()
}

// Uncached returns a cache that keeps nothing: for engines without artefacts,
// and where there is no place for them.
func Uncached(r engine.WasmRuntime) *Cache { return &Cache{runtime: r} }

// Module gives the module of an action's binary, by that and its hash, and tells
// where it came from. Callers should not ask for one module twice at the same time:
// both would compile it.
//
// The binary may be nil, see [Cache.Intake]. The error is [ErrBinaryNeeded] if it
// is and there is no artefact, that of compiling, or context.Cause(ctx); a disk
// that fails is none.
func (c *Cache) Module(ctx context.Context, action Action) (engine.Module, Origin, error) {
	binary := action.Binary
	if c.precompiler == nil || binary != nil && len(binary) < c.smallBinary {
		return c.compile(ctx, binary)
	}
	key := c.key(action.Hash)
	m, err := c.load(ctx, key)
	if m != nil || err != nil {
		return m, Loaded, err
	}
	if binary == nil {
		return nil, Compiled, ErrBinaryNeeded
	}
	if m := c.interpret(ctx, action, key); m != nil {
		return m, Interpreted, nil
	}
	return c.compileAndStore(ctx, binary, action.Hash)
}

// Stats gives the counts so far.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Cache) count(change func(*CacheStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// headerForm changes with what a header says of files.
const headerForm = "3\x00"

// key covers all that machine code depends on.
func (c *Cache) key(hash [sha256.Size]byte) string {
	sum := sha256.Sum256(slices.Concat([]byte(headerForm+c.fingerprint), []byte{0}, hash[:]))
	return hex.EncodeToString(sum[:])
}

func isKey(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 2*sha256.Size
}

func (c *Cache) compile(ctx context.Context, binary []byte) (engine.Module, Origin, error) {
	if binary == nil {
		return nil, Compiled, ErrBinaryNeeded
	}
	m, err := c.runtime.Compile(ctx, binary)
	if err == nil {
		c.count(func(s *CacheStats) { s.Compiled++ })
	}
	return m, Compiled, err
}

// load gives the module of a sound artefact, and nil if there is none.
func (c *Cache) load(ctx context.Context, key string) (m engine.Module, err error) {
	sound := c.read(ctx, c.openChecked(key, c.precompiler.Check), func(dir string) (err error) {
		m, err = c.precompiler.Load(ctx, nil, dir)
		return err
	})
	switch {
	case sound:
		c.count(func(s *CacheStats) { s.Loaded++ })
		return m, nil
	case m != nil:
		_ = m.Close(context.WithoutCancel(ctx))
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// opened is an artefact that is open and checked, but for the content of some files.
type opened struct {
	*artefact // nil if there is none, or not now
	rest      []fileInfo
	err       error // what is wrong with it
}

func (c *Cache) openChecked(key string, when checking) (o opened) {
	o.artefact, o.err = openArtefact(filepath.Join(c.dir, key), syscall.LOCK_SH)
	if o.artefact != nil && (errors.Is(o.err, errInUse) || errors.Is(o.err, errGone)) {
		o.close()
		o.artefact = nil
	}
	if o.artefact != nil && o.err == nil {
		o.rest, o.err = o.verify(key, when)
	}
	return o
}

// read has a function read what the engine wrote of a sound artefact, and tells
// whether that went well. One that is not sound is dropped. That it is the right one,
// the key in its header says. It goes by the artefact's name: nobody knows what was
// read if that leads elsewhere in the end. The artefact is closed.
func (c *Cache) read(ctx context.Context, o opened, read func(dir string) error) bool {
	if o.artefact == nil {
		return false
	}
	defer o.close()
	err := o.read(read)
	if err == nil && !o.inPlace() {
		err = errGone
	}
	if err != nil && ctx.Err() == nil && !passing(err) {
		c.drop(o.artefact, err)
	}
	if err == nil {
		c.used(o.path)
	}
	return err == nil
}

// read checks what is left to check beside the reading.
func (o opened) read(read func(dir string) error) error {
	if o.err != nil {
		return o.err
	}
	var damage error
	var beside sync.WaitGroup
	if len(o.rest) > 0 {
		beside.Go(func() { damage = o.checkContent(o.rest) })
	}
	err := read(o.code())
	beside.Wait()
	return cmp.Or(damage, err)
}

// passing tells that an error says nothing of the files: of what there is not enough at
// this time there may be later.
func passing(err error) bool {
	return slices.ContainsFunc([]error{engine.ErrNotNow, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM},
		func(short error) bool { return errors.Is(err, short) })
}

// used makes an artefact the last to be evicted, for every process.
func (c *Cache) used(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

// drop removes an artefact that cannot be trusted, unless a sound one has taken its
// place meanwhile. Its files stay as long as others have it open: of several who drop
// it, the last deletes them.
func (c *Cache) drop(a *artefact, why error) {
	trash := filepath.Join(c.dir, tempPrefix+a.id())
	if a.inPlace() {
		switch err := c.disk.rename(a.path, trash); {
		case errors.Is(err, fs.ErrNotExist) || isThere(err): // another was quicker
		case err != nil:
			c.failed("remove artefact", err)
			return
		default:
			c.count(func(s *CacheStats) { s.Dropped++ })
			c.log.Warn("artefact dropped", "path", a.path, "error", why)
		}
	}
	if a.lock != nil && taken(a.lock, syscall.LOCK_EX) {
		return
	}
	if err := c.disk.removeAll(trash); err != nil {
		c.failed("remove artefact", err)
	}
}

// remove takes an artefact away at once, whatever it is, and then deletes it.
func (c *Cache) remove(path string) error {
	trash := c.tempName()
	if err := c.disk.rename(path, trash); err != nil {
		return err
	}
	return c.disk.removeAll(trash)
}

func (c *Cache) tempName() string { return filepath.Join(c.dir, tempPrefix+rand.Text()) }

// failed notes that the disk did not do as it was told.
func (c *Cache) failed(doing string, err error) {
	c.mu.Lock()
	c.stats.Failures++
	c.pauseUntil = time.Now().Add(diskPause)
	c.mu.Unlock()
	c.log.Warn("artefact cache failed, compiling without it for a while", "doing", doing, "pause", diskPause, "error", err)
}

func (c *Cache) paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.pauseUntil)
}

func (c *Cache) compileAndStore(ctx context.Context, binary []byte, hash [sha256.Size]byte) (engine.Module, Origin, error) {
	if c.paused() {
		return c.compile(ctx, binary)
	}
	temp := c.tempName()
	defer func() { _ = c.disk.removeAll(temp) }()
	m, err := c.precompile(ctx, binary, temp)
	if _, invalid := errors.AsType[*engine.InvalidModuleError](err); invalid {
		return nil, Compiled, err
	}
	if err != nil && ctx.Err() != nil {
		return nil, Compiled, context.Cause(ctx)
	}
	if err != nil {
		c.failed("compile to disk", err)
		return c.compile(ctx, binary)
	}
	c.count(func(s *CacheStats) { s.Compiled++ })
	if err := c.publish(temp, c.header(hash)); err != nil {
		c.failed("keep artefact", err)
	}
	return m, Compiled, nil
}

func (c *Cache) precompile(ctx context.Context, binary []byte, temp string) (engine.Module, error) {
	if err := c.write(ctx, binary, temp); err != nil {
		return nil, err
	}
	return c.precompiler.Load(ctx, nil, filepath.Join(temp, codeDir))
}

// write has the engine write an artefact that has no header yet.
func (c *Cache) write(ctx context.Context, binary []byte, temp string) error {
	return c.fill(temp, func(dir string) error { return c.precompiler.Precompile(ctx, binary, dir) })
}

// fill makes a directory with what a function writes.
func (c *Cache) fill(temp string, write func(dir string) error) error {
	if err := c.disk.mkdir(temp); err != nil {
		return err
	}
	code := filepath.Join(temp, codeDir)
	if err := c.disk.mkdir(code); err != nil {
		return err
	}
	return write(code)
}

// header begins that of the artefact of a binary.
func (c *Cache) header(hash [sha256.Size]byte) header {
	return header{Key: c.key(hash), Hash: hex.EncodeToString(hash[:])}
}

// publish makes a complete artefact visible under its key. That another was
// quicker is none of our trouble: theirs is as good.
func (c *Cache) publish(temp string, h header) error {
	if err := c.seal(temp, h); err != nil {
		return err
	}
	err := c.disk.rename(temp, filepath.Join(c.dir, h.Key))
	if isThere(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c.count(func(s *CacheStats) {
		if h.Hash == "" {
			s.Derived++
		} else {
			s.Stored++
		}
	})
	c.grew(diskSize(filepath.Join(c.dir, h.Key)))
	return nil
}

// isThere tells that a name which was to be given to a directory leads to one.
func isThere(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// seal completes the header and writes it, last.
func (c *Cache) seal(temp string, h header) error {
	if err := tighten(temp); err != nil {
		return err
	}
	var err error
	if h.Files, err = describe(temp); err != nil {
		return err
	}
	h.Engine = c.fingerprint
	text, err := h.encode()
	if err != nil {
		return err
	}
	if err := c.disk.writeFile(filepath.Join(temp, headerFile), text); err != nil {
		return err
	}
	now := time.Now()
	return os.Chtimes(temp, now, now)
}

// grew evicts when it is time to.
func (c *Cache) grew(size int64) {
	c.mu.Lock()
	c.bytes += size
	c.sinceScan++
	due := c.bytes > c.maxBytes || c.sinceScan > scanEvery
	c.mu.Unlock()
	if due && c.evicting.TryLock() {
		defer c.evicting.Unlock()
		c.evict()
	}
}

// kept is an artefact as eviction sees it.
type kept struct {
	path string
	size int64
	used time.Time
}

// evict removes the least recently used artefacts until a tenth of the room is
// free: then not every new one needs a scan.
func (c *Cache) evict() {
	c.forgetUploads()
	all, total := c.scan()
	if total > c.maxBytes {
		total = c.evictDownTo(c.maxBytes-c.maxBytes/10, all, total)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes, c.sinceScan = total, 0
}

func (c *Cache) evictDownTo(goal int64, all []kept, total int64) int64 {
	for _, k := range all {
		if total <= goal {
			break
		}
		if c.evictOne(k.path) {
			total -= k.size
		}
	}
	return total
}

// evictOne leaves alone what is being loaded.
func (c *Cache) evictOne(path string) bool {
	a, err := openArtefact(path, syscall.LOCK_EX)
	if a == nil {
		return true
	}
	defer a.close()
	if errors.Is(err, errInUse) || errors.Is(err, errGone) {
		return false
	}
	if err := c.remove(path); err != nil {
		c.failed("evict artefact", err)
		return false
	}
	c.count(func(s *CacheStats) { s.Evicted++ })
	return true
}

// scan lists the artefacts with their sizes, the least recently used first.
func (c *Cache) scan() (all []kept, total int64) {
	all, err := c.list()
	if err != nil {
		c.failed("list artefacts", err)
	}
	for i := range all {
		all[i].size = diskSize(all[i].path)
		total += all[i].size
	}
	return all, total
}

// list gives the artefacts without their sizes, the least recently used first.
func (c *Cache) list() (all []kept, err error) {
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && isKey(e.Name()) {
			all = append(all, kept{path: filepath.Join(c.dir, e.Name()), used: info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	return all, err
}

// removeLeftovers deletes what writers left that were killed. A young one may
// belong to another process that is still at work.
func (c *Cache) removeLeftovers() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("list artefact cache: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix) || time.Since(info.ModTime()) < tempAge {
			continue
		}
		if err := c.removeLeftover(filepath.Join(c.dir, e.Name())); err != nil {
			c.failed("remove leftover", err)
		}
	}
	return nil
}

// removeLeftover spares an artefact that was dropped and that somebody still has open.
func (c *Cache) removeLeftover(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		defer dir.Close()
		if taken(dir, syscall.LOCK_EX) {
			return nil
		}
	}
	return c.disk.removeAll(path)
}
