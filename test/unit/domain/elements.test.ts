import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { elementsChainOf, parseElementsChain } from '../../../src/domain/elements.ts';

describe('elements to chain', () => {
  test.each<[string, unknown, string | undefined]>([
    [
      'E-4: attributes sorted, quotes escaped',
      [
        {
          tag_name: 'a',
          attr__class: ['small'],
          attr__href: '/a-url',
          $el_text: 'bla bla',
          'attr__data-attr': 'something " that; could mess up',
          nth_child: 1,
        },
      ],
      'a.small:attr__class="small"attr__data-attr="something \\" that; could mess up"attr__href="/a-url"href="/a-url"nth-child="1"nth-of-type="0"text="bla bla"',
    ],
    [
      'E-4: tag and text',
      [{ tag_name: 'div', nth_child: 1, nth_of_type: 2, $el_text: 'text' }],
      'div:nth-child="1"nth-of-type="2"text="text"',
    ],
    [
      'E-4: classes sorted, no tag',
      [{ attr__class: 'something another' }],
      '.another.something:attr__class="something another"nth-child="0"nth-of-type="0"',
    ],
    [
      'E-3: text and href are cut',
      [{ $el_text: 'x'.repeat(500), attr__id: 'i' }],
      `:attr__id="i"attr_id="i"nth-child="0"nth-of-type="0"text="${'x'.repeat(400)}"`,
    ],
    ['leaf first, joined by ;', [{ tag_name: 'a' }, { tag_name: 'b' }], 'a:nth-child="0"nth-of-type="0";b:nth-child="0"nth-of-type="0"'],
    ['quotes in classes are removed', [{ attr__class: ['a"b'] }], '.ab:attr__class="a\\"b"nth-child="0"nth-of-type="0"'],
    ['no elements', [], ''],
    ['E-2: an attribute that is null', [{ attr__x: null }], undefined],
    ['E-2: a text that is a number', [{ $el_text: 5 }], undefined],
    ['E-2: a class that is a number', [{ attr__class: 5 }], undefined],
    ['E-2: classes with a null among them', [{ attr__class: ['a', null] }], undefined],
    ['E-2: an element that is null', [null], undefined],
    ['E-2: elements that are a text', 'abc', undefined],
    ['an attribute without a text of its own', [{ attr__x: { toString: null } }], ':attr__x="[object Object]"nth-child="0"nth-of-type="0"'],
  ])('%s', (_, elements, chain) => {
    expect(elementsChainOf(elements)).toBe(chain);
  });
});

describe('elements to chain, on a machine of another language', () => {
  test('E-4: the order of the attributes is the same', () => {
    const script = `
      import { elementsChainOf } from './src/domain/elements.ts';
      console.log(elementsChainOf([{ tag_name: 'p', attr__aa: 1, attr__z: 2 }]));
      console.log('aa'.localeCompare('z'));`;
    const env = { ...process.env, LC_ALL: 'da_DK.UTF-8' };
    const options = { cwd: join(import.meta.dirname, '../../..'), env, encoding: 'utf8' } as const;
    const [chain, danish] = execFileSync(process.execPath, ['--input-type=module', '--eval', script], options).split('\n');
    expect(danish).toBe('1'); // or nothing was shown
    expect(chain).toBe('p:attr__aa="1"attr__z="2"nth-child="0"nth-of-type="0"');
  });
});

describe('chain to elements', () => {
  test('E-5: named attributes become fields, the others stay, classes may hold colons', () => {
    const chain =
      'a.md:flex.small:data-attr="some \\"; quoted"href="/u"nth-child="1"nth-of-type="2"text="t"attr_id="i";div:nth-child="0"nth-of-type="0"';
    expect(parseElementsChain(chain)).toEqual([
      {
        order: 0,
        tag_name: 'a',
        attr_class: ['md:flex', 'small'],
        href: '/u',
        nth_child: 1,
        nth_of_type: 2,
        text: 't',
        attr_id: 'i',
        attributes: { 'data-attr': 'some \\"; quoted' },
      },
      { order: 1, tag_name: 'div', nth_child: 0, nth_of_type: 0, attributes: {} },
    ]);
  });

  test('E-5: literal \\n pairs go, empty classes go, nothing is []', () => {
    expect(parseElementsChain('')).toEqual([]);
    expect(parseElementsChain('a..b:text="x\\ny"')).toEqual([{ order: 0, tag_name: 'a', attr_class: ['b'], text: 'xy', attributes: {} }]);
  });

  test.each([
    'a:text="never closed',
    ';;;',
    ':',
    '"',
    'a:b:c',
    '\\',
    'x'.repeat(50_000),
    `a:b="c"${'x'.repeat(200_000)}`,
    '="'.repeat(20_000),
    `:__proto__="1"`,
  ])('E-5: %#. whatever the text, no error', (text) => {
    expect(Array.isArray(parseElementsChain(text))).toBe(true);
  });

  test('what was written can be read', () => {
    const elements = [
      {
        tag_name: 'button',
        attr__class: 'btn primary',
        $el_text: 'Buy; now',
        attr__href: '/x',
        nth_child: 3,
        nth_of_type: 1,
        attr__id: 'buy',
      },
    ];
    expect(parseElementsChain(elementsChainOf(elements) ?? '')).toEqual([
      {
        order: 0,
        tag_name: 'button',
        attr_class: ['btn', 'primary'],
        text: 'Buy; now',
        href: '/x',
        attr_id: 'buy',
        nth_child: 3,
        nth_of_type: 1,
        attributes: { attr__class: 'btn primary', attr__href: '/x', attr__id: 'buy' },
      },
    ]);
  });
});
