package parts

import (
	"context"

	"kooperd.dev/kooperd/pkg/handlers"
)

// relater is a composer that asks for what it reads.
type relater struct{ *composer }

// Relate asks for what the config says, with the texts of the parent filled in.
func (r relater) Relate(_ context.Context, parent handlers.Object) ([]handlers.Related, error) {
	f, err := newFiller(handlers.ComposeRequest{Object: parent})
	if err != nil {
		return nil, err
	}
	var asked []Reads
	for _, one := range r.config.Relates {
		for _, text := range []*string{&one.Label, &one.InNamespaces, &one.ObjectName, &one.ObjectNames, &one.Namespace} {
			if *text, err = f.string(*text); err != nil {
				return nil, err
			}
		}
		asked = append(asked, one)
	}
	return related(asked), nil
}
