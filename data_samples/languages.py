"""Captions in languages other than English, true to the scene: German, French, Spanish, Russian, Japanese.

Only the most popular concepts are in the dictionary. Russian and Japanese captions don't count: their numerals govern
the noun's form, and a wrong one would be noise of a kind the web doesn't have.
"""

from __future__ import annotations

import random
from functools import cache

from data_samples.scenes import Scene, Thing

__all__ = ["tell_scene_abroad"]

# concept | German one, many | French one, many | Spanish one, many | Russian one, many | Japanese
_NOUNS = """
dog|ein Hund|Hunde|un chien|chiens|un perro|perros|собака|собаки|犬
cat|eine Katze|Katzen|un chat|chats|un gato|gatos|кошка|кошки|猫
car|ein Auto|Autos|une voiture|voitures|un coche|coches|машина|машины|車
heart|ein Herz|Herzen|un cœur|cœurs|un corazón|corazones|сердце|сердца|ハート
rose|eine Rose|Rosen|une rose|roses|una rosa|rosas|роза|розы|バラ
bird|ein Vogel|Vögel|un oiseau|oiseaux|un pájaro|pájaros|птица|птицы|鳥
tree|ein Baum|Bäume|un arbre|arbres|un árbol|árboles|дерево|деревья|木
apple|ein Apfel|Äpfel|une pomme|pommes|una manzana|manzanas|яблоко|яблоки|りんご
horse|ein Pferd|Pferde|un cheval|chevaux|un caballo|caballos|лошадь|лошади|馬
flower|eine Blume|Blumen|une fleur|fleurs|una flor|flores|цветок|цветы|花
star|ein Stern|Sterne|une étoile|étoiles|una estrella|estrellas|звезда|звёзды|星
house|ein Haus|Häuser|une maison|maisons|una casa|casas|дом|дома|家
butterfly|ein Schmetterling|Schmetterlinge|un papillon|papillons|una mariposa|mariposas|бабочка|бабочки|蝶
fish|ein Fisch|Fische|un poisson|poissons|un pez|peces|рыба|рыбы|魚
balloon|ein Luftballon|Luftballons|un ballon|ballons|un globo|globos|воздушный шар|воздушные шары|風船
bicycle|ein Fahrrad|Fahrräder|un vélo|vélos|una bicicleta|bicicletas|велосипед|велосипеды|自転車
rabbit|ein Hase|Hasen|un lapin|lapins|un conejo|conejos|кролик|кролики|うさぎ
airplane|ein Flugzeug|Flugzeuge|un avion|avions|un avión|aviones|самолёт|самолёты|飛行機
lion|ein Löwe|Löwen|un lion|lions|un león|leones|лев|львы|ライオン
book|ein Buch|Bücher|un livre|livres|un libro|libros|книга|книги|本
sunflower|eine Sonnenblume|Sonnenblumen|un tournesol|tournesols|un girasol|girasoles|подсолнух|подсолнухи|ひまわり
cow|eine Kuh|Kühe|une vache|vaches|una vaca|vacas|корова|коровы|牛
elephant|ein Elefant|Elefanten|un éléphant|éléphants|un elefante|elefantes|слон|слоны|象
strawberry|eine Erdbeere|Erdbeeren|une fraise|fraises|una fresa|fresas|клубника|клубника|いちご
banana|eine Banane|Bananen|une banane|bananes|un plátano|plátanos|банан|бананы|バナナ
bear|ein Bär|Bären|un ours|ours|un oso|osos|медведь|медведи|熊
guitar|eine Gitarre|Gitarren|une guitare|guitares|una guitarra|guitarras|гитара|гитары|ギター
train|ein Zug|Züge|un train|trains|un tren|trenes|поезд|поезда|電車
bus|ein Bus|Busse|un bus|bus|un autobús|autobuses|автобус|автобусы|バス
penguin|ein Pinguin|Pinguine|un manchot|manchots|un pingüino|pingüinos|пингвин|пингвины|ペンギン
owl|eine Eule|Eulen|un hibou|hiboux|un búho|búhos|сова|совы|フクロウ
tiger|ein Tiger|Tiger|un tigre|tigres|un tigre|tigres|тигр|тигры|虎
duck|eine Ente|Enten|un canard|canards|un pato|patos|утка|утки|アヒル
sheep|ein Schaf|Schafe|un mouton|moutons|una oveja|ovejas|овца|овцы|羊
pig|ein Schwein|Schweine|un cochon|cochons|un cerdo|cerdos|свинья|свиньи|豚
clock|eine Uhr|Uhren|une horloge|horloges|un reloj|relojes|часы|часы|時計
hat|ein Hut|Hüte|un chapeau|chapeaux|un sombrero|sombreros|шляпа|шляпы|帽子
dress|ein Kleid|Kleider|une robe|robes|un vestido|vestidos|платье|платья|ドレス
camera|eine Kamera|Kameras|un appareil photo|appareils photo|una cámara|cámaras|фотоаппарат|фотоаппараты|カメラ
lemon|eine Zitrone|Zitronen|un citron|citrons|un limón|limones|лимон|лимоны|レモン
key|ein Schlüssel|Schlüssel|une clé|clés|una llave|llaves|ключ|ключи|鍵
chair|ein Stuhl|Stühle|une chaise|chaises|una silla|sillas|стул|стулья|椅子
snake|eine Schlange|Schlangen|un serpent|serpents|una serpiente|serpientes|змея|змеи|蛇
fox|ein Fuchs|Füchse|un renard|renards|un zorro|zorros|лиса|лисы|キツネ
robot|ein Roboter|Roboter|un robot|robots|un robot|robots|робот|роботы|ロボット
"""

_LANGUAGES = ("de", "fr", "es", "ru", "ja")

_PLACES = {
    "beach": ("am Strand", "sur la plage", "en la playa", "на пляже", "浜辺の"),
    "city": ("in der Stadt", "en ville", "en la ciudad", "в городе", "街の"),
    "street": ("auf der Straße", "dans la rue", "en la calle", "на улице", "通りの"),
    "meadow": ("auf der Wiese", "dans un pré", "en el prado", "на лугу", "草原の"),
    "night sky": ("unter dem Sternenhimmel", "sous les étoiles", "bajo las estrellas", "под звёздным небом", "星空の"),
    "under water": ("unter Wasser", "sous l'eau", "bajo el agua", "под водой", "水中の"),
    "snow": ("im Schnee", "dans la neige", "en la nieve", "в снегу", "雪の中の"),
    "desert": ("in der Wüste", "dans le désert", "en el desierto", "в пустыне", "砂漠の"),
    "forest": ("im Wald", "dans la forêt", "en el bosque", "в лесу", "森の"),
    "mountains": ("in den Bergen", "à la montagne", "en las montañas", "в горах", "山の"),
    "living room": ("im Wohnzimmer", "dans le salon", "en la sala de estar", "в гостиной", "リビングの"),
    "table": ("auf dem Tisch", "sur la table", "sobre la mesa", "на столе", "テーブルの上の"),
}

_COLOURS = {
    "white": ("weißem", "blanc", "blanco", "белом", "白い"),
    "black": ("schwarzem", "noir", "negro", "чёрном", "黒い"),
    "gray": ("grauem", "gris", "gris", "сером", "灰色の"),
    "red": ("rotem", "rouge", "rojo", "красном", "赤い"),
    "orange": ("orangefarbenem", "orange", "naranja", "оранжевом", "オレンジ色の"),
    "yellow": ("gelbem", "jaune", "amarillo", "жёлтом", "黄色い"),
    "green": ("grünem", "vert", "verde", "зелёном", "緑の"),
    "turquoise": ("türkisfarbenem", "turquoise", "turquesa", "бирюзовом", "青緑の"),
    "blue": ("blauem", "bleu", "azul", "синем", "青い"),
    "purple": ("violettem", "violet", "morado", "фиолетовом", "紫の"),
    "pink": ("rosa", "rose", "rosa", "розовом", "ピンクの"),
    "brown": ("braunem", "marron", "marrón", "коричневом", "茶色の"),
}

_ON_BACKGROUND = ("auf {} Hintergrund", "sur fond {}", "sobre fondo {}", "на {} фоне", "{}背景の")
_AND = ("und", "et", "y", "и", "と")
_NUMBERS = {
    "de": ("zwei", "drei", "vier", "fünf", "sechs"),
    "fr": ("deux", "trois", "quatre", "cinq", "six"),
    "es": ("dos", "tres", "cuatro", "cinco", "seis"),
}
_AROUND = {
    "de": ("{}", "Foto: {}", "{} – Bild kaufen", "Bild: {}", "{} zum Ausmalen"),
    "fr": ("{}", "Photo : {}", "{} – image libre de droits", "dessin : {}"),
    "es": ("{}", "Foto: {}", "imagen de {}", "{} – fotos de stock", "dibujo de {}"),
    "ru": ("{}", "Фото: {}", "{} – картинка", "{} – скачать бесплатно"),
    "ja": ("{}", "{}の写真", "{}のイラスト", "{}|無料素材", "かわいい{}"),
}
# For scenes with something the dictionary lacks.
_STOCK_PHRASES = (
    "Bild kann nicht geladen werden",
    "kostenlose Bilder herunterladen",
    "Kein Bild vorhanden",
    "télécharger gratuitement",
    "Agrandir l'image",
    "Ver imagen más grande",
    "Descargar gratis",
    "скачать бесплатно",
    "Фото без названия",
    "Купить картинку",
    "写真素材・無料ダウンロード",
    "画像がありません",
    "商品画像",
    "无标题图片",
    "图片素材免费下载",
    "사진 없음",
    "무료 이미지 다운로드",
    "صورة بدون عنوان",
    "תמונה ללא כותרת",
    "ภาพประกอบฟรี",
    "Brak zdjęcia",
    "Hình ảnh miễn phí",
    "Geen afbeelding beschikbaar",
)


@cache
def _dictionary() -> dict[str, dict[str, tuple[str, str]]]:
    """concept -> language -> (one, many)."""
    table: dict[str, dict[str, tuple[str, str]]] = {}
    for line in _NOUNS.strip().splitlines():
        name, *forms = line.split("|")
        pairs = [*zip(forms[0:8:2], forms[1:8:2], strict=True), (forms[8], forms[8])]
        table[name] = dict(zip(_LANGUAGES, pairs, strict=True))
    return table


def _told(thing: Thing, language: str) -> str:
    one, many = _dictionary()[thing.concept][language]
    if thing.count == 1:
        return one
    return f"{_NUMBERS[language][thing.count - 2]} {many}" if language in _NUMBERS else many


def tell_scene_abroad(rng: random.Random, scene: Scene) -> str:
    """A caption in another language; a phrase of web pages where the dictionary lacks one of the things."""
    if not scene.things or any(thing.concept not in _dictionary() for thing in scene.things):
        return rng.choice(_STOCK_PHRASES)
    language = rng.choice(_LANGUAGES)
    at = _LANGUAGES.index(language)
    setting = ""
    if scene.place is not None:
        setting = _PLACES[scene.place][at]
    elif len(scene.background) == 1:
        setting = _ON_BACKGROUND[at].format(_COLOURS[scene.background[0]][at])
    if rng.random() < 0.25:
        setting = ""
    things = [_told(thing, language) for thing in scene.things]
    if language == "ja":
        return rng.choice(_AROUND["ja"]).format(setting + _AND[at].join(things))
    last = f" {_AND[at]} ".join(things[-2:])
    body = ", ".join([*things[:-2], last]) + (f" {setting}" if setting else "")
    return rng.choice(_AROUND[language]).format(body)
