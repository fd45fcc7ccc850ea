package apply

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// generated is a value that is generated when the object is created. Before, it is evaluated to
// find out whether it can be, and is left out.
type generated struct{ node }

func (g generated) eval(ctx context.Context, vars variables) (any, bool, error) {
	_, _, err := g.node.eval(ctx, vars)
	return nil, false, err
}

var errNothingGenerated = errors.New("the template is no object any more")

// generation makes the Generate of a child of its template, whose values are generated now.
func generation(making node, vars variables) func(context.Context, *unstructured.Unstructured) error {
	return func(ctx context.Context, object *unstructured.Unstructured) error {
		value, _, err := making.eval(ctx, vars)
		if failed := (*evalError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
			return fmt.Errorf("evaluating %s fails; why is left out, as it may have generated values", failed.at)
		}
		if err != nil {
			return err
		}
		fields, ok := value.(map[string]any)
		if !ok {
			return errNothingGenerated
		}
		metadata, ok := fields["metadata"].(map[string]any)
		if !ok {
			metadata = map[string]any{}
			fields["metadata"] = metadata
		}
		metadata["name"] = object.GetName()
		if namespace := object.GetNamespace(); namespace != "" {
			metadata["namespace"] = namespace
		}
		object.Object = fields
		return nil
	}
}
