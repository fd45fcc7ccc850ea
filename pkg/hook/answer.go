package hook

import (
	"fmt"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// minResync keeps a hook from being called without end.
	minResync = 100 * time.Millisecond
	// maxResync is what a longer time is taken for.
	maxResync = 365 * 24 * time.Hour
	// maxChildren is how many children, or related resources, one answer may have.
	maxChildren = 5000
	// maxAnswer is how many bytes one answer may have, whatever the Caller takes.
	maxAnswer = 64 << 20
)

// answer is what a sync or finalize hook has said.
type answer struct {
	status              map[string]any // nil leaves it alone
	children            []answered
	labels, annotations map[string]*string
	resyncAfter         time.Duration
	finalized           bool
}

// answered is one child of an answer.
type answered struct {
	tree map[string]any
	at   string // its path
}

// format is how answers of one definition are read.
type format struct {
	shape    Shape
	loose    bool
	maxDepth int
}

// childrenField is the name of the list of children.
func (s Shape) childrenField() string {
	if s == Decorator {
		return "attachments"
	}
	return "children"
}

// fieldsOf decodes an answer, which has to be an object.
func (f format) fieldsOf(body []byte, names ...string) (fields, *mistakes, error) {
	if len(body) > maxAnswer {
		return fields{}, nil, fmt.Errorf("the answer has %d bytes, want at most %d MiB", len(body), maxAnswer>>20)
	}
	value, err := decode(body, f.maxDepth, !f.loose)
	if err != nil {
		return fields{}, nil, err
	}
	tree, ok := value.(map[string]any)
	if !ok {
		return fields{}, nil, fmt.Errorf("the answer is %s, want an object", handlers.KindOfJSON(value))
	}
	wrong := &mistakes{}
	all := fields{tree: tree, mistakes: wrong}
	all.known(f.loose, names...)
	return all, wrong, nil
}

// answer reads an answer of a sync or finalize hook.
func (f format) answer(body []byte) (answer, error) {
	names := []string{"children", "status", "resyncAfterSeconds", "finalized"}
	if f.shape == Decorator {
		names = []string{"attachments", "labels", "annotations", "status", "resyncAfterSeconds", "finalized"}
	}
	given, wrong, err := f.fieldsOf(body, names...)
	if err != nil {
		return answer{}, err
	}
	a := answer{finalized: given.flag("finalized"), resyncAfter: given.resync()}
	if status, there := given.object("status"); there {
		a.status = status.tree
	}
	given.objects(f.shape.childrenField(), func(child fields) {
		a.children = append(a.children, answered{tree: child.tree, at: child.at})
	})
	if f.shape == Decorator {
		a.labels, a.annotations = given.marks("labels"), given.marks("annotations")
	}
	if err := wrong.err(); err != nil {
		return answer{}, err
	}
	return a, nil
}

// resync returns resyncAfterSeconds. What is not above zero asks for nothing.
func (f fields) resync() time.Duration {
	var seconds float64
	switch value := f.tree["resyncAfterSeconds"].(type) {
	case nil:
	case int64:
		seconds = float64(value)
	case float64:
		seconds = value
	default:
		f.report("resyncAfterSeconds", fmt.Sprintf("is %s, want a number", handlers.KindOfJSON(value)))
	}
	switch {
	case seconds <= 0:
		return 0
	case seconds >= maxResync.Seconds():
		return maxResync
	}
	return max(minResync, time.Duration(seconds*float64(time.Second)))
}
