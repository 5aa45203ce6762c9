package executor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wasmwhisk/engine/sandbox"
)

// jsonLine is a line as Docker's json-file driver writes it.
type jsonLine struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// appendJSON appends lines to a buffer, one JSON object on each line.
func appendJSON(to *bytes.Buffer, lines []sandbox.Line) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	for _, line := range lines {
		if err := enc.Encode(jsonLine{line.Text + "\n", line.Stream.String(), line.Time.UTC()}); err != nil {
			return err
		}
	}
	return nil
}

// jsonFile writes a container's logs to DIR/ID/ID-json.log, where an invoker
// looks for them. The file is opened for each batch: there may be more
// containers than file descriptors. A file past its limit becomes ID-json.log.1.
type jsonFile struct {
	dir, path string
	limit     int64
}

// newJSONFile names the file of a container, whose id must have passed checkID.
func newJSONFile(root, id string, limit int64) *jsonFile {
	dir := filepath.Join(root, id)
	return &jsonFile{dir: dir, path: filepath.Join(dir, id+"-json.log"), limit: limit}
}

func (f *jsonFile) write(lines []sandbox.Line) error {
	var batch bytes.Buffer
	if err := appendJSON(&batch, lines); err != nil {
		return err
	}
	if err := f.rotate(int64(batch.Len())); err != nil {
		return err
	}
	file, err := f.open()
	if err != nil {
		return err
	}
	_, err = file.Write(batch.Bytes())
	return errors.Join(err, file.Close())
}

func (f *jsonFile) open() (*os.File, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// rotate moves a file away that has no room for n more bytes.
func (f *jsonFile) rotate(n int64) error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (info.Size() == 0 || info.Size()+n <= f.limit) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(f.path, f.path+".1")
}

func (f *jsonFile) remove() error { return os.RemoveAll(f.dir) }
