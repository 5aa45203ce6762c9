// Command filesys is an action that writes a file and reads it back. It needs
// the directory /tmp/filesys: create it with --annotation dir /tmp/filesys.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(filesys) }

type output struct {
	Success       bool   `json:"success"`
	WriteReadTime int64  `json:"write_read_time"` // milliseconds
	Content       string `json:"content"`
}

func filesys(actionsdk.Context, struct{}) (output, error) {
	begin := time.Now()
	path := fmt.Sprintf("/tmp/filesys/%d.txt", begin.Unix())
	content, err := writeAndRead(path, "Hello, Wasm.")
	if err != nil {
		return output{}, err
	}
	return output{true, time.Since(begin).Milliseconds(), content}, nil
}

// writeAndRead does not truncate: an activation in the same second writes the
// same bytes into the same file.
func writeAndRead(path, content string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	read, err := io.ReadAll(f)
	return string(read), err
}
