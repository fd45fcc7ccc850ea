package handlers_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// A composer is a function, too: from an object to the objects that should exist for it.
func ExampleCompose() {
	composer := handlers.Compose(func(_ context.Context, cm *corev1.ConfigMap, _ handlers.Children) (handlers.Composition, error) {
		receipt := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: cm.Name + "-receipt"},
			Data:       map[string]string{"total": cm.Data["items"]},
		}
		return handlers.Composition{Children: handlers.ChildrenOf(receipt)}, nil
	})
	composition, err := composer.Compose(context.Background(), handlers.ComposeRequest{Object: cart()})
	fmt.Println(len(composition.Children), err)
	// Output: 1 <nil>
}

// What a parent contributes to an object that is not its child is a patch. It has what is
// contributed alone.
func ExamplePatchesOf() {
	composer := handlers.Compose(func(_ context.Context, cm *corev1.ConfigMap, _ handlers.Children) (handlers.Composition, error) {
		shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: cm.Namespace, Annotations: map[string]string{"example.com/cart-" + cm.Name: cm.Data["items"]},
		}}
		return handlers.Composition{Patches: handlers.PatchesOf(shop)}, nil
	})
	composition, err := composer.Compose(context.Background(), handlers.ComposeRequest{Object: cart()})
	fmt.Println(len(composition.Patches), err)
	// Output: 1 <nil>
}

// What cannot be told yet is an error. It never looks like an empty set.
func ExamplePending() {
	var err error = handlers.Pending{Name: "server", On: "Secret shop/password", Why: "it does not exist"}
	fmt.Println(err)
	// Output: child server is waiting for Secret shop/password: it does not exist
}

// discount is a composer that reads, for each cart, the ConfigMap that the cart names.
type discount struct{}

// Compose makes a child of what is read. Without it, the children are not known.
func (discount) Compose(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	codes := req.Related["codes"]
	if len(codes) == 0 {
		return handlers.Composition{}, handlers.Pending{On: "ConfigMap codes"}
	}
	price := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: req.Object.Name() + "-price"}}
	price.Data = map[string]string{"code": codes[0].Name()}
	return handlers.Composition{Children: handlers.ChildrenOf(price)}, nil
}

// Relate says which ConfigMap that is. It lies within what the plugin Reads.
func (discount) Relate(_ context.Context, parent handlers.Object) ([]handlers.Related, error) {
	return []handlers.Related{{
		Name: "codes", APIVersion: "v1", Kind: "ConfigMap",
		ObjectName: parent.Metadata().Annotations["codes"], Namespace: parent.Namespace(),
	}}, nil
}

// A Relater finds out for each parent what it reads.
func ExampleRelater() {
	var composer handlers.Composer = discount{}
	if relater, ok := composer.(handlers.Relater); ok {
		related, err := relater.Relate(context.Background(), cart())
		fmt.Println(related[0].Kind, "in", related[0].Namespace, err)
	}
	_, err := composer.Compose(context.Background(), handlers.ComposeRequest{Object: cart()})
	fmt.Println(err)
	// Output:
	// ConfigMap in shop <nil>
	// waiting for ConfigMap codes
}

// ComposerFunc is for a function that reads related objects or finalizes. This one keeps the parent
// until its children are gone.
func ExampleComposerFunc() {
	composer := handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if req.Finalizing {
			return handlers.Composition{Finalized: len(req.Children) == 0}, nil
		}
		return handlers.Composition{Children: handlers.ChildrenOf(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key"}})}, nil
	})
	composition, err := composer.Compose(context.Background(), handlers.ComposeRequest{Object: cart(), Finalizing: true})
	fmt.Println(composition.Finalized, err)
	// Output: true <nil>
}

// A child can be made of what another one has become. Until that is there, the composition has the
// first one alone, and says what it waits for.
func ExampleChildren_Get() {
	composer := handlers.Compose(func(_ context.Context, cm *corev1.ConfigMap, observed handlers.Children) (handlers.Composition, error) {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: cm.Name}}
		composition := handlers.Composition{Children: []handlers.Child{{Name: "service", Object: service}}}
		var live corev1.Service
		if seen, ok := observed.Get("service"); !ok {
			composition.Pending = []handlers.Pending{{Name: "address", On: "Service " + cm.Name}}
		} else if err := seen.Into(&live); err != nil {
			return handlers.Composition{}, err
		} else {
			address := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: cm.Name + "-address"}, Data: map[string]string{"ip": live.Spec.ClusterIP}}
			composition.Children = append(composition.Children, handlers.Child{Name: "address", Object: address})
		}
		return composition, nil
	})
	service, err := handlers.ObjectOf(&corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.7"},
	})
	if err != nil {
		panic(err)
	}
	for _, children := range []handlers.Children{nil, {{Name: "service", Object: service}}} {
		composition, err := composer.Compose(context.Background(), handlers.ComposeRequest{Object: cart(), Children: children})
		fmt.Println(len(composition.Children), composition.Pending, err)
	}
	// Output:
	// 1 [child address is waiting for Service cart] <nil>
	// 2 [] <nil>
}

// OfKind leaves out children of other kinds.
func ExampleChildren_OfKind() {
	children := handlers.Children{{Name: "receipt", Object: cart()}}
	fmt.Println(len(children.OfKind("v1", "ConfigMap")), len(children.OfKind("apps/v1", "Deployment")))
	// Output: 1 0
}

// ChildrenOf is for children that need no names, order or policies. A Child has all of these.
func ExampleChildrenOf() {
	config, server := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config"}}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "server"}}
	children := append(handlers.ChildrenOf(config), handlers.Child{
		Name: "server", Object: server, After: []string{"ConfigMap/config"}, Policy: handlers.ChildPolicy{Drift: handlers.DriftReport},
	})
	fmt.Println(len(children), children[1].After)
	// Output: 2 [ConfigMap/config]
}

// Owns says which kinds a composer may make. The rights, and the watches of the children, follow
// from it.
func ExampleOwnedKind() {
	owns := []handlers.OwnedKind{
		{APIVersion: "apps/v1", Kind: "Deployment"},
		{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding", Binds: []handlers.RoleRef{{Kind: "ClusterRole", Name: "view"}}},
	}
	for _, owned := range owns {
		fmt.Println(owned.GroupVersionKind())
	}
	// Output:
	// apps/v1, Kind=Deployment
	// /v1, Kind=ConfigMap
	// rbac.authorization.k8s.io/v1, Kind=RoleBinding
}

// Reads says what a composer reads besides its parent and children: here the names of all
// Namespaces of a team. A change of one of them calls for all parents.
func ExampleRelated() {
	teams := handlers.Related{
		Name: "teams", APIVersion: "v1", Kind: "Namespace", MetadataOnly: true,
		LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpExists}}},
	}
	fmt.Println(teams.Name, teams.GroupVersionKind(), metav1.FormatLabelSelector(teams.LabelSelector))
	// Output: teams /v1, Kind=Namespace team
}
