package precompile

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"

	"wasmwhisk/engine"
)

// CodeDir is where an artefact's directory has what its engine wrote.
const CodeDir = codeDir

// Fingerprint is that of the engine whose artefacts the cache keeps, empty if it
// keeps none.
func (c *Cache) Fingerprint() string { return c.fingerprint }

// Artefact gives the directory of a binary's artefact for a process other than
// this one to load, and compiles the binary if there is none. The artefact stays
// as long as the directory is open. It is nil for a binary that is not worth
// keeping, and where the disk fails; for a nil binary that needs compiling the
// error is [ErrBinaryNeeded].
func (c *Cache) Artefact(ctx context.Context, binary []byte, hash [sha256.Size]byte) (*os.File, Origin, error) {
	if c.precompiler == nil || binary != nil && len(binary) < c.smallBinary {
		return nil, Compiled, nil
	}
	key := c.key(hash)
	if dir := c.open(key); dir != nil {
		return dir, Loaded, nil
	}
	if binary == nil {
		return nil, Compiled, ErrBinaryNeeded
	}
	err := c.store(ctx, binary, hash)
	if err != nil {
		return nil, Compiled, err
	}
	return c.open(key), Compiled, nil
}

// open gives a sound artefact's directory, and nil if there is none.
func (c *Cache) open(key string) *os.File {
	o := c.openChecked(key, checkFirst)
	switch {
	case o.artefact == nil:
		return nil
	case o.err == nil:
		c.used(o.path)
		c.count(func(s *CacheStats) { s.Loaded++ })
		return o.lock
	}
	c.drop(o.artefact, o.err)
	o.close()
	return nil
}

// store writes the artefact of a binary, unless the disk fails. The error is the
// binary's fault or that of ctx.
func (c *Cache) store(ctx context.Context, binary []byte, hash [sha256.Size]byte) error {
	if c.paused() {
		return nil
	}
	temp := c.tempName()
	defer func() { _ = c.disk.removeAll(temp) }()
	err := c.write(ctx, binary, temp)
	if _, invalid := errors.AsType[*engine.InvalidModuleError](err); invalid {
		return err
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		c.count(func(s *CacheStats) { s.Compiled++ })
		err = c.publish(temp, c.header(hash))
	}
	if err != nil {
		c.failed("keep artefact", err)
	}
	return nil
}
