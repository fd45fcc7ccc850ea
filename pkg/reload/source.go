package reload

import (
	"context"
	"maps"
	"sync"

	"kooperd.dev/kooperd/pkg/config"
)

// Source is where a config is read from.
type Source interface {
	// Read returns what is there now. A config.Diagnostics is a mistake in what is there; any other
	// error means that it could not be read, and that another try may succeed.
	Read(ctx context.Context) (Snapshot, error)
	// Watch calls changed whenever Read may return something else than before, until ctx ends.
	// Calls may come in vain.
	Watch(ctx context.Context, changed func())
}

// Snapshot is a config as it was read at one moment.
type Snapshot struct {
	// Files are the texts of the config.
	Files *config.Files
	// Versions are the resourceVersions of the ConfigMaps that were read, by NAMESPACE/NAME.
	Versions map[string]string
	// Growing are the names of the files that are written in place, so that a reader may find one
	// half written.
	Growing []string
}

// Join makes one source of several, whose files are unified.
func Join(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return joined(sources)
}

type joined []Source

func (j joined) Read(ctx context.Context) (Snapshot, error) {
	all := Snapshot{Versions: map[string]string{}}
	var files []config.File
	for _, s := range j {
		one, err := s.Read(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		files = append(files, one.Files.List()...)
		maps.Copy(all.Versions, one.Versions)
		all.Growing = append(all.Growing, one.Growing...)
	}
	var err error
	all.Files, err = config.NewFiles(files...)
	return all, err
}

func (j joined) Watch(ctx context.Context, changed func()) {
	var watching sync.WaitGroup
	for _, s := range j {
		watching.Go(func() { s.Watch(ctx, changed) })
	}
	watching.Wait()
}
