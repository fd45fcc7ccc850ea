package hook

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// controllerAPIVersion is that of the controllers that hooks know.
const controllerAPIVersion = "metacontroller.k8s.io/v1alpha1"

// controller is the definition as hooks know it. What hooks have no use for is not in it, such as
// where they are called.
type controller struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   controllerName `json:"metadata"`
	Spec       controllerSpec `json:"spec"`
	Status     struct{}       `json:"status"`
}

type controllerName struct {
	Name string `json:"name"`
}

type controllerSpec struct {
	// These are of a CompositeController.
	ParentResource   *parentRule `json:"parentResource,omitempty"`
	ChildResources   []childRule `json:"childResources,omitempty"`
	GenerateSelector *bool       `json:"generateSelector,omitempty"`
	// These are of a DecoratorController.
	Resources   []resourceRule `json:"resources,omitempty"`
	Attachments []childRule    `json:"attachments,omitempty"`
	// This is of both.
	Hooks map[Name]hookRule `json:"hooks"`
}

type resourceRule struct {
	APIVersion string `json:"apiVersion"`
	Resource   string `json:"resource"`
}

type childRule struct {
	resourceRule

	UpdateStrategy updateStrategy `json:"updateStrategy"`
}

type updateStrategy struct {
	Method       string        `json:"method"`
	StatusChecks *statusChecks `json:"statusChecks,omitempty"`
}

type statusChecks struct {
	Conditions []StatusCheck `json:"conditions"`
}

// parentRule is the watched resource of a CompositeController.
type parentRule struct {
	resourceRule

	RevisionHistory *revisionHistory `json:"revisionHistory,omitempty"`
}

type revisionHistory struct {
	FieldPaths []string `json:"fieldPaths"`
}

type hookRule struct {
	Version Version `json:"version"`
}

// describe makes the controller of a definition.
func describe(definition string, watched schema.GroupVersionKind, c Config, hooks Hooks) controller {
	d := controller{APIVersion: controllerAPIVersion, Kind: "CompositeController", Metadata: controllerName{Name: definition}}
	children := make([]childRule, len(c.Children))
	for i, child := range c.Children {
		kind := schema.FromAPIVersionAndKind(child.APIVersion, child.Kind)
		children[i] = childRule{
			resourceRule:   resourceRule{APIVersion: child.APIVersion, Resource: resourceOf(kind, child.Resource)},
			UpdateStrategy: updateStrategy{Method: methodOf(child.Update)},
		}
		if len(child.StatusChecks) > 0 {
			children[i].UpdateStrategy.StatusChecks = &statusChecks{Conditions: child.StatusChecks}
		}
	}
	parent := resourceRule{APIVersion: watched.GroupVersion().String(), Resource: resourceOf(watched, "")}
	if c.shape() == Decorator {
		d.Kind, d.Spec.Resources, d.Spec.Attachments = "DecoratorController", []resourceRule{parent}, children
	} else {
		d.Spec.ParentResource, d.Spec.ChildResources = &parentRule{resourceRule: parent}, children
		if c.RevisionHistory != nil && len(c.RevisionHistory.FieldPaths) > 0 {
			d.Spec.ParentResource.RevisionHistory = &revisionHistory{c.RevisionHistory.FieldPaths}
		}
		if c.GenerateSelector {
			d.Spec.GenerateSelector = &c.GenerateSelector
		}
	}
	rule := hookRule{Version: c.version()}
	d.Spec.Hooks = map[Name]hookRule{Sync: rule}
	if hooks.Finalize {
		d.Spec.Hooks[Finalize] = rule
	}
	if hooks.Customize {
		d.Spec.Hooks[Customize] = rule
	}
	return d
}

// methodOf is how an update policy is called there.
func methodOf(update handlers.Update) string {
	switch update {
	case handlers.UpdateRecreate:
		return "Recreate"
	case handlers.UpdateOnDelete, handlers.UpdateCreateOnly:
		return "OnDelete"
	case RollingInPlace:
		return "RollingInPlace"
	case RollingRecreate:
		return "RollingRecreate"
	default:
		return "InPlace"
	}
}
