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
	// readAhead is what is read of a stream at a time.
	readAhead = 64 << 10
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

// Next returns the next event; io.EOF when the server has ended the watch, io.ErrUnexpectedEOF when it broke off.
func (s *Stream) Next() (Event, error) {
	first, err := s.source.Peek(1)
	if err != nil {
		return Event{}, err
	}
	// Events in JSON begin with a brace. In protobuf each has its length before it, in four bytes of which the first is zero
	// for anything below 16 MiB.
	if first[0] == '{' || first[0] == '\n' {
		return s.nextJSON()
	}
	return s.nextProtobuf()
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
	if uint32(cap(s.frame)) < size { //nolint:gosec // at most maxEvent
		s.frame = make([]byte, size)
	}
	s.frame = s.frame[:size]
	if _, err := io.ReadFull(s.source, s.frame); err != nil {
		return Event{}, unexpected(err)
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

// nextJSON reads a line: the API server writes each event in one, and strings have no line ends in them.
func (s *Stream) nextJSON() (Event, error) {
	s.frame = s.frame[:0]
	for {
		part, err := s.source.ReadSlice('\n')
		s.frame = append(s.frame, part...)
		if len(s.frame) > maxEvent {
			return Event{}, fmt.Errorf("reading an event: more than %d bytes", maxEvent)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (len(s.frame) == 0 || !errors.Is(err, io.EOF)) {
			return Event{}, err
		}
		if len(s.frame) > 1 {
			break
		}
		s.frame = s.frame[:0] // an empty line
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
		err = io.ErrUnexpectedEOF
	}
	return s.finish(event, object, err)
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
