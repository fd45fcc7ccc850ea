package reload

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/config"
)

// pollPeriod is how often files are read. Their contents are compared, and not their times: a
// volume of a ConfigMap changes by a symbolic link, a file system in the network has its own clock,
// and not every file system tells of changes.
const pollPeriod = 2 * time.Second

// Paths is the source that consists of files and directories, as config.Load takes them. Pipes and
// standard input are none: they can be read once only.
func Paths(paths ...string) Source { return pathSource(paths) }

type pathSource []string

func (p pathSource) Read(ctx context.Context) (Snapshot, error) {
	files, err := config.Read(ctx, p)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Files: files}
	for _, f := range files.List() {
		if !inVolume(f.Path) {
			s.Growing = append(s.Growing, f.Name)
		}
	}
	return s, nil
}

func (p pathSource) Watch(ctx context.Context, changed func()) {
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			changed()
		}
	}
}

// inVolume reports whether a file belongs to a volume that the kubelet replaces as a whole: it is
// behind a symbolic link into a directory whose name begins with two dots.
func inVolume(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for dir := range strings.SplitSeq(filepath.Dir(target), string(filepath.Separator)) {
		if strings.HasPrefix(dir, "..") {
			return true
		}
	}
	return false
}
