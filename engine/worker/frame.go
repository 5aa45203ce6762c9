package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind says what a frame is for.
type kind byte

// The kinds. The first four go to a worker, the others come from one: when it is
// there, when it has its assignment, and for each activation.
const (
	kindAssign kind = 1 + iota
	kindProbe
	kindRun
	kindCancel
	kindHello
	kindReady
	kindOutcome
)

// headerBytes is the size of what stands before a payload: kind, id, length.
const headerBytes = 1 + 8 + 4

// soonBytes is the size up to which a payload gets its memory at once. What is
// announced as longer gets it as it comes.
const soonBytes = 16 << 10

// frame is a message on its way. The id is that of the activation it is about.
type frame struct {
	kind    kind
	id      uint64
	payload []byte
}

// encode gives the frame as it goes over the wire.
func (f frame) encode() []byte {
	wire := make([]byte, headerBytes, headerBytes+len(f.payload))
	wire[0] = byte(f.kind)
	binary.LittleEndian.PutUint64(wire[1:], f.id)
	binary.LittleEndian.PutUint32(wire[9:], uint32(len(f.payload)))
	return append(wire, f.payload...)
}

// violation is an error in what the other side sent: it cannot be talked to any
// more.
type violation struct{ reason string }

func (v *violation) Error() string { return "worker protocol violated: " + v.reason }

func violated(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// readFrame reads one frame whose payload has at most that many bytes. The error
// is [io.EOF] where the stream ends between two frames.
func readFrame(r io.Reader, limit int) (frame, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return frame{}, err
	}
	f, size := decodeHeader(header)
	if size > limit {
		return frame{}, violated("a payload of %d bytes, at most %d may come", size, limit)
	}
	var err error
	f.payload, err = readPayload(r, size)
	return f, err
}

func decodeHeader(header [headerBytes]byte) (f frame, size int) {
	f.kind, f.id = kind(header[0]), binary.LittleEndian.Uint64(header[1:])
	return f, int(binary.LittleEndian.Uint32(header[9:]))
}

func readPayload(r io.Reader, size int) ([]byte, error) {
	if size <= soonBytes {
		payload := make([]byte, size)
		_, err := io.ReadFull(r, payload)
		return payload, cutOff(err)
	}
	var payload bytes.Buffer
	_, err := io.CopyN(&payload, r, int64(size))
	return payload.Bytes(), cutOff(err)
}

// cutOff tells the end of a stream within a frame from one between two.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
