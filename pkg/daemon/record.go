package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/engine"
)

// recordFlags are the settings of recording.
type recordFlags struct {
	dir   string
	limit int
}

// recordQueue is how many calls may wait to be looked at. Others are not recorded.
const recordQueue = 16

// recorder writes calls of composers as cases. Nothing that goes wrong with that concerns the
// calls.
type recorder struct {
	recordFlags
	installed caseMaker
	logger    logr.Logger
	calls     chan engine.Call

	mu     sync.Mutex
	known  map[string]map[string]bool // shapes by definition
	failed map[string]bool            // files that cannot be made, until there are too many of them
	last   map[string]time.Time       // of failures that were logged, by definition
}

// newRecorder makes the folder and looks at what is there already. It returns nil if nothing is to
// be recorded.
func newRecorder(flags recordFlags, maker caseMaker, logger logr.Logger) (*recorder, error) {
	if flags.dir == "" {
		return nil, nil //nolint:nilnil // that is off
	}
	if err := os.MkdirAll(flags.dir, 0o700); err != nil {
		return nil, fmt.Errorf("--record: %w", err)
	}
	r := &recorder{
		recordFlags: flags, installed: maker, logger: logger, calls: make(chan engine.Call, recordQueue),
		known: map[string]map[string]bool{}, failed: map[string]bool{}, last: map[string]time.Time{},
	}
	entries, err := os.ReadDir(flags.dir)
	if err != nil {
		return nil, fmt.Errorf("--record: %w", err)
	}
	for _, entry := range entries {
		name, isCase := strings.CutSuffix(entry.Name(), cases.Suffix)
		if i := strings.LastIndex(name, "."); isCase && i > 0 {
			r.note(name[:i], name[i+1:])
		}
	}
	return r, nil
}

// note notes the shape of a call of a definition. It reports whether there is room for it, and it
// is new.
func (r *recorder) note(definition, shape string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	shapes := r.known[definition]
	if shapes == nil {
		shapes = map[string]bool{}
		r.known[definition] = shapes
	}
	if shapes[shape] || len(shapes) >= r.limit {
		return false
	}
	shapes[shape] = true
	return true
}

// isFull reports whether a definition has all the cases that it may have.
func (r *recorder) isFull(definition string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known[definition]) >= r.limit
}

// take takes a call, unless too many wait. It does not wait.
func (r *recorder) take(call engine.Call) {
	if r.isFull(call.Definition.Name) {
		return
	}
	select {
	case r.calls <- call:
	default: // There are more of them.
	}
}

// run writes cases until ctx ends.
func (r *recorder) run(ctx context.Context) {
	r.logger.Info("recording calls of composers", "folder", r.dir, "limit", r.limit)
	for {
		select {
		case <-ctx.Done():
			return
		case call := <-r.calls:
			r.record(ctx, call)
		}
	}
}

// recordInterval is how often a failure is logged for a definition.
const recordInterval = time.Minute

// record writes a call as a case, if there is none like it.
func (r *recorder) record(ctx context.Context, call engine.Call) {
	definition := call.Definition.Name
	path, err := r.write(ctx, call)
	log := r.logger.WithValues("controller", definition, "namespace", call.Request.Object.Namespace(), "name", call.Request.Object.Name())
	switch {
	case err == nil && path == "": // There is one like it.
	case err == nil:
		log.Info("recorded a case", "file", path)
	case ctx.Err() != nil:
	case errors.Is(err, errNoCase):
		log.V(1).Info("not recording a call", "reason", err.Error())
	case time.Since(r.last[definition]) >= recordInterval:
		r.last[definition] = time.Now()
		log.Error(err, "recording a case")
	}
}

// write is record without the log. The path is empty if there is a case like it.
func (r *recorder) write(ctx context.Context, call engine.Call) (path string, err error) {
	defer func() {
		if value := recover(); value != nil { // There is code of plugins in what they answer.
			err = fmt.Errorf("%w: reading it has panicked", errNoCase)
		}
	}()
	shape, err := shapeOf(call)
	if err != nil {
		return "", err
	}
	path = filepath.Join(r.dir, call.Definition.Name+"."+shape+cases.Suffix)
	if r.failed[path] || !r.note(call.Definition.Name, shape) {
		return "", nil
	}
	written := false
	defer func() {
		if !written {
			r.forget(call.Definition.Name, shape) // It takes no place.
		}
	}()
	text, err := r.installed.make(ctx, call)
	if ctx.Err() != nil { // What came of it says so.
		return "", context.Cause(ctx)
	}
	if err != nil {
		r.fail(path)
		return "", err
	}
	err = writeAtomically(path, text, ownerOnly)
	written = err == nil
	return path, err
}

// mostFailed bounds the shapes of which is remembered that they cannot be made cases.
const mostFailed = 1000

// fail remembers a file that cannot be made. It may be possible later, so it is not for ever.
func (r *recorder) fail(path string) {
	if len(r.failed) >= mostFailed {
		clear(r.failed)
	}
	r.failed[path] = true
}

// forget takes a shape back that was noted.
func (r *recorder) forget(definition, shape string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known[definition], shape)
}

// ownerOnly is the mode of a file that nobody else may read.
const ownerOnly = 0o600

// writeAtomically writes a file. A reader sees all of it or nothing.
func writeAtomically(path string, text []byte, mode os.FileMode) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".kooperd-*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
