package report

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wasmwhisk/eval/result"
)

// What can be read can be reported, whoever wrote it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":1,"command":["a"],"targets":[{"name":"<b>","reference":true},{"name":"f","floor":true}],"experiments":[{"name":"x",
		"figures":[{"name":"a","kind":"bars","metric":"m"},{"name":"b","kind":"lines","metric":"m","log":true},{"name":"c","kind":"ecdf","metric":"m"}],
		"series":[{"target":"<b>","metric":"m","unit":"s","axis":"n","points":[
			{"x":1,"count":3,"failed":1,"saturated":true,"mean":1,"quantiles":{"p50":1,"p75":2},"rounds":[1,2,1e300],"ecdf":[0,1,1e300]},{"x":-1}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "summary.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		run, err := result.Read(dir)
		if err != nil {
			return
		}
		page := html(t, run)
		if strings.Contains(page, "<b>") || strings.Contains(page, "<script") {
			t.Error("a name is not escaped")
		}
		Markdown(run)
		if err := Compare(run, run).HTML(io.Discard); err != nil {
			t.Errorf("Compare().HTML() = %v, want nil", err)
		}
	})
}
