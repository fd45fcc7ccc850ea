package reload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"kooperd.dev/kooperd/pkg/config"
)

// settle is how long the texts have to stay the same before they are evaluated, so that a file is
// not taken while it is being written, nor a directory while one of its files is. settleTries
// bounds that, for a file that is written without end.
const (
	settle      = 100 * time.Millisecond
	settleTries = 10
)

// reading is what was read, or why nothing could be.
type reading struct {
	Snapshot
	err  error
	mark string // the same for the same contents
}

// read reads the source, and what the last evaluation depended on besides.
func (r *Reloader) read(ctx context.Context) reading {
	var found reading
	found.Snapshot, found.err = r.opts.Source.Read(ctx)
	r.mu.Lock()
	imported := r.imported
	r.mu.Unlock()
	sum := sha256.New()
	_, _ = io.WriteString(sum, found.texts(imported))
	for _, name := range imported {
		addFolder(sum, filepath.Dir(name)) // A file that is added to an imported package counts, too.
	}
	found.mark = hex.EncodeToString(sum.Sum(nil))
	return found
}

// texts is a hash of what was read and of these imported files, or of why nothing could be read.
func (f reading) texts(imported []string) string {
	sum := sha256.New()
	if f.Files == nil {
		_, _ = io.WriteString(sum, f.err.Error())
	} else {
		_, _ = io.WriteString(sum, f.Files.Hash())
	}
	for _, name := range imported {
		addFile(sum, name)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// addFile adds a file's name and contents to a hash, as far as it can be read.
func addFile(sum hash.Hash, name string) {
	contents := sha256.Sum256(readImported(name))
	_, _ = io.WriteString(sum, name)
	sum.Write(contents[:])
}

// readImported returns a file's text as far as it can be read.
func readImported(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 8<<20)) // No config is that large.
	return text
}

// addFolder adds the names of the config files in a folder to a hash.
func addFolder(sum hash.Hash, name string) {
	entries, _ := os.ReadDir(name) // Without the folder it has no files.
	for _, e := range entries {
		if config.IsConfigFile(e.Name()) {
			_, _ = io.WriteString(sum, e.Name()+"\n")
		}
	}
}

// settled returns what is there when it has stopped changing.
func (r *Reloader) settled(ctx context.Context, found reading) reading {
	for range settleTries {
		select {
		case <-ctx.Done():
			return found
		case <-time.After(settle):
		}
		before := found.mark
		if found = r.read(ctx); found.mark == before {
			break
		}
	}
	return found
}
