package precompile

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// packed is the time of every entry that we write: the earliest a zip can
// state. Equal modules give equal archives.
var packed = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Pack writes the upload of a module to w: a zip with the module as
// action.wasm, its first entry, and a manifest.json if the manifest says
// anything. Equal arguments give equal bytes. The manifest must be valid.
func Pack(w io.Writer, binary []byte, manifest Manifest) error {
	z := zip.NewWriter(w)
	if err := packEntry(z, entryName, binary); err != nil {
		return err
	}
	if manifest != (Manifest{}) {
		text, err := manifest.text()
		if err != nil {
			return err
		}
		if err := packEntry(z, manifestName, text); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("finish zip: %w", err)
	}
	return nil
}

func packEntry(z *zip.Writer, name string, content []byte) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: packed})
	if err == nil {
		_, err = w.Write(content)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

func (m Manifest) text() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ABI  string `json:"abi,omitempty"`
		Main string `json:"main,omitempty"`
	}{string(m.ABI), m.Main})
}
