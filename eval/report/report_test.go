package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wasmwhisk/eval/result"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from the golden file; look at it, and run with -update if it is right:\n%s", name, firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	wanted := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(wanted) || line != wanted[i] {
			return "got  " + line + "\nwant " + strings.Join(wanted[min(i, len(wanted)):min(i+1, len(wanted))], "")
		}
	}
	return "got less"
}

func html(t *testing.T, run result.Run) string {
	t.Helper()
	var b strings.Builder
	if err := HTML(&b, run); err != nil {
		t.Fatalf("HTML() = %v, want nil", err)
	}
	return b.String()
}

// The drawings are tested in package plot; here they would hide the rest.
func withoutDrawings(page string) string {
	page = regexp.MustCompile(`(?s)<svg.*?</svg>`).ReplaceAllString(page, "<svg/>")
	return regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(page, "<style/>")
}

func TestPage(t *testing.T) {
	t.Parallel()
	golden(t, "ordinary.html", withoutDrawings(html(t, ordinary(t, 1))))
	golden(t, "nothing.html", withoutDrawings(html(t, result.Run{})))
}

func TestPageStandsAlone(t *testing.T) {
	t.Parallel()
	page := html(t, extreme(t))
	for _, never := range []string{"<script", "<link", "<img", "src=", "url(", "@import", "style=\"", "<b>bold", "<i>this", "<here>", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(page, never) {
			t.Errorf("page has %q", never)
		}
	}
	for _, always := range []string{"Partial.", "default-src 'none'", "&lt;script&gt;alert(1)", "no success, 12 failed", "generator-bound"} {
		if !strings.Contains(page, always) {
			t.Errorf("page has no %q", always)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	run := extreme(t)
	run.Sections = run.Sections[1:] // forty targets take long to paint
	if testing.Short() {
		run.Sections[0].Figures = run.Sections[0].Figures[:1]
	}
	dir := filepath.Join(t.TempDir(), "new")
	if err := Write(dir, run); err != nil {
		t.Fatalf("Write() = %v, want nil", err)
	}
	if _, err := os.Stat(filepath.Join(dir, Page)); err != nil {
		t.Error(err)
	}
	for _, section := range run.Sections {
		for _, f := range section.Figures {
			checkPlot(t, filepath.Join(dir, "plots", f.Name))
		}
	}
}

func checkPlot(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(data); err != nil {
		t.Errorf("%s.svg: %v", path, err)
	}
	if bytes.Contains(data, []byte("NaN")) || bytes.Contains(data, []byte("Inf")) {
		t.Errorf("%s.svg has a coordinate that is no number", path)
	}
	image, err := os.Open(path + ".png")
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if _, err := png.DecodeConfig(image); err != nil {
		t.Errorf("%s.png: %v", path, err)
	}
}

func wellFormed(data []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestHeadlines(t *testing.T) {
	t.Parallel()
	got := headlines(ordinary(t, 1))
	if len(got) != 5 {
		t.Fatalf("headlines() = %d, want three of cold starts, one of concurrency, one of memory: %+v", len(got), got)
	}
	first := got[0]
	if first.Best.Target != "wasmtime" || first.Condition != "never seen" || len(first.References) != 2 || first.Floor == "" {
		t.Errorf("first headline = %+v, want wasmtime beside two references and the floor", first)
	}
	if c := got[3].Condition; c != "hash, 16 clients" {
		t.Errorf("condition over an axis = %q, want that of its end", c)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]string{
		0: "0", 1e-9: "1e-09", 0.00123: "0.0012", 0.06: "0.060", 0.0996: "0.10", 0.5: "0.50", 1: "1.00", 9.96: "10.0", 12.34: "12.3", 310.4: "310", 1e7: "1e+07",
	} {
		if got := times(ratio); got != want {
			t.Errorf("times(%v) = %q, want %q", ratio, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	if got, want := commandLine([]string{"a", "", "it's", "b=c"}), `a '' 'it'\''s' b=c`; got != want {
		t.Errorf("commandLine() = %s, want %s", got, want)
	}
}
