package pagetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

// Now is the moment of all reports, so that what shows them is the same each time.
var Now = time.Date(2026, time.November, 27, 9, 41, 7, 0, time.UTC)

// Reporter reports what it has been made with. Its fields must not be changed while it is in use.
type Reporter struct {
	// Whole is what Report returns, with shorter lists.
	Whole *statusz.Report
	// Objects are what Object and Search know.
	Objects []*statusz.ObjectReport
}

var _ statusz.Reporter = (*Reporter)(nil)

// Report returns the whole report with at most so many items in its lists of objects.
func (r *Reporter) Report(_ context.Context, items statusz.Items) *statusz.Report {
	report := *r.Whole
	report.Objects = cut(report.Objects, items.Whole)
	report.Definitions = slices.Clone(report.Definitions)
	for i := range report.Definitions {
		d := &report.Definitions[i]
		d.Objects = cut(d.Objects, items.Of(d.Name, len(report.Definitions)))
		if d.Name != items.Definition {
			d.Config = ""
		}
	}
	return &report
}

// cut shortens all lists.
func cut(o statusz.Objects, items int) statusz.Objects {
	for _, list := range []*statusz.ObjectList{&o.NotReady, &o.Failing, &o.Fights, &o.Held, &o.Refused} {
		list.Items = slices.Clone(list.Items[:min(items, len(list.Items))])
	}
	return o
}

// Object returns what is known of an object.
func (r *Reporter) Object(_ context.Context, object statusz.ObjectRef) (*statusz.ObjectReport, bool) {
	for _, known := range r.Objects {
		same := known.Object
		if object.APIVersion == "" {
			same.APIVersion = ""
		}
		if same == object {
			return known, true
		}
	}
	return nil, false
}

// Search returns objects whose KIND/NAMESPACE/NAME contains a text.
func (r *Reporter) Search(_ context.Context, text string, limit int) (found []statusz.ObjectRef, more bool) {
	text = strings.ToLower(text)
	for _, known := range r.Objects {
		o := known.Object
		if !strings.Contains(strings.ToLower(o.Kind+"/"+o.Namespace+"/"+o.Name), text) {
			continue
		}
		if len(found) == limit {
			return found, true
		}
		found = append(found, o)
	}
	return found, false
}
