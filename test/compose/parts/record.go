package parts

import (
	"encoding/json"
	"fmt"
	"os"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Touch is an annotation of parents, by whose value a test finds the calls after it has written it.
const Touch = "touch"

// Call is one call of a composer, as the composer saw it.
type Call struct {
	Process    int            `json:"process"`
	Definition string         `json:"definition"`
	Object     string         `json:"object"`
	Version    string         `json:"version"`  // resourceVersion
	Touch      string         `json:"touch"`    // the annotation
	Observed   []string       `json:"observed"` // the names of the observed children
	Cause      handlers.Cause `json:"cause"`
	Attempt    int            `json:"attempt"`
	Failed     bool           `json:"failed"`
}

// Record is a file with one line for each call, in the order of their ends. It may be written by
// several processes at a time.
type Record struct{ file *os.File }

// OpenRecord opens the file, and makes it if it does not exist. Without a path nothing is recorded.
func OpenRecord(path string) (*Record, error) {
	if path == "" {
		path = os.DevNull
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the record of calls: %w", err)
	}
	return &Record{file: file}, nil
}

// add writes one line with a single write, so that lines never mix.
func (r *Record) add(c Call) error {
	c.Process = os.Getpid()
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("recording a call: %w", err)
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("recording a call: %w", err)
	}
	return nil
}
