"""Evaluation sentences: never used in training, the same every time."""

from collections.abc import Mapping
from typing import Final

from kuaimei.engines.types import Language

__all__ = ["FIFTY", "HELD_OUT", "LONG"]

HELD_OUT: Final[Mapping[Language, tuple[str, ...]]] = {
    "zh": (
        "巷口那家豆漿店每天清晨五點就開門了。",
        "你知道下一班往花蓮的火車幾點發車嗎？",
        "昨晚的地震把書架上的花瓶都震倒了。",
        "我覺得這部電影的結局實在太可惜了！",
        "請先把雨傘收好，再走進教室裡面。",
        "他花了三年的時間，終於把這本小說翻譯完。",
        "如果週末沒有下雨，我們就去陽明山看櫻花。",
        "這座橋是當地居民自己出錢蓋起來的。",
        "別擔心，醫生說只要多休息就會好起來。",
        "港口的燈塔在夜裡一閃一閃地發著光。",
    ),
    "en": (
        "The bakery on the corner opens long before sunrise.",
        "Do you know when the next train to the coast leaves?",
        "Last night the storm blew three trees across the road.",
        "I never expected the story to end like that!",
        "Please close your umbrella before you come inside.",
        "It took her three years to translate the whole novel.",
        "If it does not rain, we will climb the hill on Saturday.",
        "The people of the village paid for this bridge themselves.",
        "Do not worry, all you need is a few days of rest.",
        "At night the lighthouse flashes slowly over the harbour.",
    ),
}
"""Ten of each language: more than 150 characters of Mandarin."""

LONG: Final[Mapping[Language, tuple[str, ...]]] = {
    "zh": (
        "小時候，外婆家的後面有一條小溪，溪水清得可以看見石頭上的青苔。",
        "每到夏天，我和表哥就脫了鞋子，在水裡抓蝦子，一玩就是一個下午。",
        "外婆總是站在門口喊我們回家吃飯，聲音大得連對面山上的人都聽得見。",
        "她最拿手的是筍絲湯，筍子是早上剛從竹林裡挖出來的，又嫩又甜。",
        "吃過飯以後，大人們坐在院子裡聊天，我們就躺在涼椅上數天上的星星。",
        "有一年秋天，颱風帶來了很大的雨，溪水漲得很高，把木橋沖走了。",
        "村子裡的人花了好幾個月，才用石頭重新蓋了一座橋。",
        "舅舅說，那座橋比原來的結實多了，再過一百年也不會倒。",
        "後來我到城裡讀書，一年只能回去兩三次，溪邊的竹林也慢慢變少了。",
        "現在那裡開了一家咖啡店，許多年輕人騎著腳踏車來拍照。",
        "店裡的老闆是表哥的同學，他把舊房子的木頭留下來，做成桌子和椅子。",
        "他告訴我，客人最喜歡坐在窗邊，一邊聽水聲，一邊喝熱茶。",
        "上個月我帶著孩子回去，想讓他看看我小時候玩水的地方。",
        "他把腳放進水裡，馬上又縮了回來，笑著說水怎麼這麼冰。",
        "我忽然想起外婆的聲音，好像她還站在門口，等我們回家吃飯。",
        "回程的路上，孩子問我，那些蝦子是不是還住在石頭下面。",
        "我說，只要水還這麼乾淨，牠們就會一直住在那裡。",
        "他點點頭，很認真地說，下次要帶一個更大的網子來。",
        "晚上我們住在舅舅家，他煮了一鍋筍絲湯，味道和從前一模一樣。",
        "孩子喝了兩碗，抱著膝蓋看窗外的星星，沒多久就睡著了。",
        "我把窗戶關小一點，溪水的聲音還是輕輕地傳了進來。",
    ),
    "en": (
        "When I was a child, a small stream ran behind my grandmother's house.",
        "Every summer my cousin and I took off our shoes and looked for fish in the cold water.",
        "She would stand at the door and call us, so loudly that the whole valley could hear her.",
        "After dinner the adults talked in the yard while we lay on our backs and counted the stars.",
        "One autumn the river rose after a storm and carried the wooden bridge away.",
        "The people of the village needed several months to build a new one out of stone.",
        "My uncle always said that it would stand for another hundred years.",
        "Later I moved to the city, and I could only go back two or three times a year.",
        "Today there is a coffee shop next to the stream, and young people come to take pictures.",
        "Last month I went there with my son, because I wanted to show him where I used to play.",
        "He put one foot into the water, pulled it out again and laughed.",
        "For a moment I thought that she was still standing at the door, waiting for us.",
    ),
}
"""A story of more than 500 characters, for statistically meaningful error rates."""

FIFTY: Final[Mapping[Language, str]] = {
    "zh": (
        "早安，今天天氣很舒服，氣溫大約二十三度，下午可能會下一點小雨，"
        "出門的時候記得帶把傘，晚上就會放晴，祝你有美好一天。"
    ),
    "en": "Good morning, it is a pleasant day with a little rain in the afternoon.",
}
"""Text for timing: fifty characters of Mandarin, or about as much English."""
