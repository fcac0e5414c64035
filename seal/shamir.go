package seal

import (
	"errors"
	"fmt"
	"io"
)

// Shamir's way of sharing a secret (Adi Shamir, "How to share a secret", Communications of the ACM 22 (11),
// 1979): each byte is the value at 0 of a random polynomial over GF(2⁸), the field of AES (FIPS 197, 4.2),
// of a degree one less than the threshold, and a share is its value at the share's number. So many shares
// as the threshold tell the polynomial, one less tells nothing. No table is looked up and no branch taken by
// a secret byte.

// maxShares is how many numbers the field has besides 0.
const maxShares = 255

// split returns the values at 1 to n of polynomials whose values at 0 are the secret.
func split(secret []byte, n, threshold int, random io.Reader) ([][]byte, error) {
	if threshold < 1 || n < threshold || n > maxShares {
		return nil, fmt.Errorf("a secret cannot be split so that %d of %d shares open it", threshold, n)
	}
	coefficients := make([]byte, (threshold-1)*len(secret)) // of x, then of x², …
	if _, err := io.ReadFull(random, coefficients); err != nil {
		return nil, fmt.Errorf("splitting a secret: %w", err)
	}
	defer clear(coefficients)
	shares := make([][]byte, n)
	for i := range shares {
		x := byte(i + 1)
		shares[i] = make([]byte, len(secret))
		for degree := threshold - 1; degree > 0; degree-- { // Horner's rule, from the highest down
			for k := range secret {
				shares[i][k] = multiply(shares[i][k]^coefficients[(degree-1)*len(secret)+k], x)
			}
		}
		for k, s := range secret {
			shares[i][k] ^= s
		}
	}
	return shares, nil
}

// combine returns the values at 0 of the polynomials that have the values at the numbers (Lagrange).
func combine(numbers []byte, values [][]byte) ([]byte, error) {
	if len(numbers) == 0 || len(numbers) != len(values) {
		return nil, errors.New("there are no shares to combine")
	}
	secret := make([]byte, len(values[0]))
	for i, x := range numbers {
		weight := byte(1)
		for j, other := range numbers {
			switch {
			case j == i:
				continue
			case other == x || x == 0 || other == 0:
				return nil, fmt.Errorf("share %d cannot be combined with share %d", x, other)
			}
			weight = multiply(weight, multiply(other, inverse(other^x)))
		}
		if len(values[i]) != len(secret) {
			return nil, errors.New("the shares have different lengths")
		}
		for k, y := range values[i] {
			secret[k] ^= multiply(weight, y)
		}
	}
	return secret, nil
}

// multiply multiplies in GF(2⁸) modulo x⁸+x⁴+x³+x+1.
func multiply(a, b byte) (product byte) {
	for range 8 {
		product ^= a & -(b & 1)
		b >>= 1
		a = a<<1 ^ 0x1b&-(a>>7)
	}
	return product
}

// inverse returns a²⁵⁴, which is 1/a.
func inverse(a byte) byte {
	power, square := byte(1), a
	for range 7 { // 254 = 2+4+8+16+32+64+128
		square = multiply(square, square)
		power = multiply(power, square)
	}
	return power
}
