package expression

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// weight is how many values are in a value, and a tenth of the characters in it, as far as it
// matters.
func weight(v ref.Val) int { return weightBy(v, 10) }

// weightBy is weight for so many characters that weigh as much as a value.
func weightBy(v ref.Val, characters int) int {
	sum := 0
	weigh(v, characters, &sum)
	return sum
}

func weigh(v ref.Val, characters int, sum *int) {
	if *sum++; *sum > costLimit {
		return
	}
	switch v := v.(type) {
	case types.String:
		*sum += len(v) / characters
	case types.Bytes:
		*sum += len(v) / characters
	case *types.Optional:
		if v.HasValue() {
			weigh(v.GetValue(), characters, sum)
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True && *sum <= costLimit; {
			key := it.Next()
			weigh(key, characters, sum)
			weigh(v.Get(key), characters, sum)
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True && *sum <= costLimit; {
			weigh(it.Next(), characters, sum)
		}
	}
}

// entries is how many a list or map has, and 1 for anything else.
func entries(v ref.Val) int {
	if sized, ok := v.(traits.Sizer); ok {
		if n, ok := sized.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 1
}

// total is the length of all entries of a list together, with so many characters between them, as
// far as it matters.
func total(list ref.Val, between int) int {
	entries, ok := list.(traits.Lister)
	if !ok {
		return 0
	}
	sum := 0
	for it := entries.Iterator(); it.HasNext() == types.True && sum <= costLimit; {
		sum += length(it.Next()) + between
	}
	return sum
}

// length is that of a text in bytes, and 1 for anything else.
func length(v ref.Val) int {
	if text, ok := v.(types.String); ok {
		return len(text)
	}
	return 1
}
