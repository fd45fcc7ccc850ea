package probe

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Call is one call of a handler, as the handler saw it.
type Call struct {
	Definition   string         `json:"definition"`
	Revision     string         `json:"revision"`
	Object       string         `json:"object"`
	Version      string         `json:"version"` // resourceVersion
	Cause        handlers.Cause `json:"cause"`
	Attempt      int            `json:"attempt"`
	Began        time.Time      `json:"began"`
	Ended        time.Time      `json:"ended"`
	Failed       bool           `json:"failed"`
	Cancelled    bool           `json:"cancelled"`    // its context had ended
	RequeueAfter time.Duration  `json:"requeueAfter"` // in nanoseconds
}

// Record is a file with one line for each call, in the order of their ends. It may be written by
// several processes at a time.
type Record struct{ file *os.File }

// OpenRecord opens the file, and makes it if it does not exist.
func OpenRecord(path string) (*Record, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the record of calls: %w", err)
	}
	return &Record{file: file}, nil
}

// add writes one line with a single write, so that lines never mix.
func (r *Record) add(c Call) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("recording a call: %w", err)
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("recording a call: %w", err)
	}
	return nil
}
