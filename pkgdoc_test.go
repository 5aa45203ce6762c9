package wasmwhisk_test

import (
	"go/ast"
	"go/parser"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestPackageDocs wants one package comment per package, that begins as godoc
// has it.
func TestPackageDocs(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	for name, file := range sources(t, parser.PackageClauseOnly|parser.ParseComments) {
		pkg := path.Dir(name)
		docs[pkg] = append(docs[pkg], docOf(t, name, file)...)
	}
	for pkg, files := range docs {
		if len(files) != 1 {
			slices.Sort(files)
			t.Errorf("package %s has %d package comments, want 1: %s", pkg, len(files), strings.Join(files, " "))
		}
	}
}

// docOf gives the file's name if it holds the package comment.
func docOf(t *testing.T, name string, file *ast.File) []string {
	t.Helper()
	text := file.Doc.Text()
	if text == "" {
		return nil
	}
	want := "Package " + file.Name.Name + " "
	if file.Name.Name == "main" {
		want = "Command " + path.Base(path.Dir(name)) + " "
	}
	if !strings.HasPrefix(text, want) {
		t.Errorf("%s: package comment begins %.40q, want %q", name, text, want)
	}
	return []string{name}
}
