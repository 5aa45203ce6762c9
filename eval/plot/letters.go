package plot

import (
	"fmt"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

// letters measures and draws text, in the font of the PNGs. A browser has another
// one for the SVG; few are wider than this.
type letters struct {
	regular, bold *opentype.Font
	faces         map[faceKey]font.Face
}

type faceKey struct {
	size float64
	bold bool
}

func newLetters() (*letters, error) {
	regular, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("parse font: %w", err)
	}
	bold, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("parse font: %w", err)
	}
	return &letters{regular: regular, bold: bold, faces: map[faceKey]font.Face{}}, nil
}

// face is the font at a size in pixels.
func (l *letters) face(size float64, bold bool) (font.Face, error) {
	key := faceKey{size, bold}
	if face := l.faces[key]; face != nil {
		return face, nil
	}
	of := l.regular
	if bold {
		of = l.bold
	}
	face, err := opentype.NewFace(of, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil, fmt.Errorf("make font of %v pixels: %w", size, err)
	}
	l.faces[key] = face
	return face, nil
}

// spare is how much wider a browser's font may be.
const spare = 1.12

// width of a text. Without the font it is a guess.
func (l *letters) width(words string, size float64) float64 {
	face, err := l.face(size, false)
	if err != nil {
		return float64(len(words)) * size * 0.6
	}
	return float64(font.MeasureString(face, words)) / 64 * spare
}

// cut shortens a text to a width, with an ellipsis where something is missing.
func (l *letters) cut(words string, size, room float64) string {
	if l.width(words, size) <= room {
		return words
	}
	runes := []rune(words)
	for len(runes) > 1 && l.width(string(runes)+"…", size) > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
