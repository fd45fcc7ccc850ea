package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// maxEvent bounds one event of a watch, in bytes. etcd takes no object of more than some MiB.
	maxEvent = 64 << 20
	// readAhead is what is read of a stream at a time, and is kept for as long as it is open.
	readAhead = 32 << 10
	// maxKept is the largest event whose memory is kept for the next one.
	maxKept = 256 << 10
)

// Stream reads the events of a watch. It is for one goroutine.
type Stream struct {
	source *bufio.Reader
	frame  []byte // of the latest event, reused
}

// NewStream reads events from the body of an answer to a watch request.
func NewStream(body io.Reader) *Stream {
	return &Stream{source: bufio.NewReaderSize(body, readAhead)}
}

// Event is one event of a watch.
type Event struct {
	// Type is what has happened.
	Type watch.EventType
	// Envelope is what it has happened to. It is valid until the next call of Next.
	Envelope
}

// Next returns the next event; io.EOF when the server has ended the watch, io.ErrUnexpectedEOF when
// it broke off.
func (s *Stream) Next() (Event, error) {
	if cap(s.frame) > maxKept {
		s.frame = nil
	}
	first, err := s.skipSpace()
	if err != nil {
		return Event{}, err
	}
	// Events in JSON begin with a brace, after white space perhaps. In protobuf each has its length
	// before it, in four bytes of which the first is zero for anything below 16 MiB, and neither of
	// these for anything below maxEvent.
	if first == '{' {
		return s.nextJSON()
	}
	return s.nextProtobuf()
}

// skipSpace returns the next byte that is no white space of JSON, and leaves it where it is.
func (s *Stream) skipSpace() (byte, error) {
	for {
		next, err := s.source.Peek(1)
		if err != nil {
			return 0, err
		}
		switch next[0] {
		case ' ', '\t', '\r', '\n':
			if _, err := s.source.Discard(1); err != nil {
				return 0, err
			}
		default:
			return next[0], nil
		}
	}
}

func (s *Stream) nextProtobuf() (Event, error) {
	var header [4]byte
	if _, err := io.ReadFull(s.source, header[:]); err != nil {
		return Event{}, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size > maxEvent {
		return Event{}, fmt.Errorf("reading an event: %d bytes are more than %d", size, maxEvent)
	}
	if err := s.fill(int64(size)); err != nil {
		return Event{}, err
	}
	var event Event
	var object []byte
	err := eachField(s.frame, func(number protowire.Number, value, _ []byte) error {
		switch number {
		case eventType:
			event.Type = watch.EventType(value)
		case eventObject:
			return eachField(value, func(number protowire.Number, value, _ []byte) error {
				if number == extensionRaw {
					object = value
				}
				return nil
			})
		}
		return nil
	})
	return s.finish(event, object, err)
}

// fill reads a frame. One that says that it is large gets memory as it comes.
func (s *Stream) fill(size int64) error {
	if size > maxKept {
		var err error
		s.frame, err = io.ReadAll(io.LimitReader(s.source, size))
		if err == nil && int64(len(s.frame)) < size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if int64(cap(s.frame)) < size {
		s.frame = make([]byte, size)
	}
	s.frame = s.frame[:size]
	_, err := io.ReadFull(s.source, s.frame)
	return unexpected(err)
}

// nextJSON reads a JSON object to its closing brace.
func (s *Stream) nextJSON() (Event, error) {
	s.frame = s.frame[:0]
	var end braces
	for !end.closed {
		if _, err := s.source.Peek(1); err != nil {
			return Event{}, unexpected(err) // bare: a stream that breaks off is no error of the server's
		}
		buffered, err := s.source.Peek(s.source.Buffered())
		if err != nil {
			return Event{}, err
		}
		n := end.find(buffered)
		s.frame = append(s.frame, buffered[:n]...)
		if _, err := s.source.Discard(n); err != nil {
			return Event{}, err
		}
		if len(s.frame) > maxEvent {
			return Event{}, fmt.Errorf("reading an event: more than %d bytes", maxEvent)
		}
	}
	var event Event
	var object []byte
	scan := &scanner{text: s.frame}
	scan.members(func(name, value []byte) {
		switch string(name) {
		case `"type"`:
			event.Type = watch.EventType(text(value))
		case `"object"`:
			object = value
		}
	})
	var err error
	if scan.bad {
		err = errTruncated
	}
	return s.finish(event, object, err)
}

// braces finds the end of a JSON object that comes in pieces.
type braces struct {
	depth             int
	inString, escaped bool
	closed            bool
}

// find returns how many bytes of the next piece belong to the object.
func (b *braces) find(piece []byte) int {
	for i, c := range piece {
		switch {
		case b.escaped:
			b.escaped = false
		case b.inString && c == '\\':
			b.escaped = true
		case c == '"':
			b.inString = !b.inString
		case b.inString:
		case c == '{':
			b.depth++
		case c == '}':
			if b.depth--; b.depth == 0 {
				b.closed = true
				return i + 1
			}
		}
	}
	return len(piece)
}

func (s *Stream) finish(event Event, object []byte, err error) (Event, error) {
	if err == nil && (event.Type == "" || len(object) == 0) {
		err = errTruncated
	}
	if err == nil {
		event.Envelope, err = ParseEnvelope(object)
	}
	if err != nil {
		return Event{}, fmt.Errorf("reading an event: %w", err)
	}
	return event, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
